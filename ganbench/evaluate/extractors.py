"""An extractor as the spec chooses it, with its weights found, checked and loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ganbench.api import ExtractorCard
from ganbench.errors import GanbenchError, MissingError
from ganbench.places import Places
from ganbench.random import isolated
from ganbench.registry import Entry
from ganbench.resolve import instantiate
from ganbench.spec import ExtractorChoice
from ganbench.weights import WeightFile, find


def make_extractor(entry: Entry, choice: ExtractorChoice, places: Places, device: torch.device) -> FeatureExtractorBase:
    """The network on a device, in eval mode, with a ``card`` that holds the sha256 of what was loaded.

    The weights are those that the choice names by their sha256, where it does. Making it leaves torch's global
    generators as they were. Raises MissingError for weights that are absent, wrong, or hold another network than
    the extractor's.
    """
    component = entry.load()
    card = card_of(entry)
    weights = find(entry.name, card.weights, places, choice.weights_sha256) if card.weights else None
    try:
        with isolated(0, "extractor"):
            network = instantiate(entry, choice)(*([weights] if weights else []))
    except GanbenchError:
        raise
    except Exception as error:
        raise _broken(entry, weights, error) from error
    own: ExtractorCard = getattr(network, "card", component.card)
    network.card = replace(own, weights_sha256=weights.sha256) if weights else own
    return network.to(device).eval()


def card_of(entry: Entry) -> ExtractorCard:
    """An extractor's card. Raises MissingError where it has none."""
    card: Any = getattr(entry.load(), "card", None)
    if not isinstance(card, ExtractorCard):
        raise MissingError(f"extractor '{entry.name}' of {entry.provider} has no card: decorate it with @extracts")
    return card


def _broken(entry: Entry, weights: WeightFile | None, error: Exception) -> MissingError:
    what = f" from {weights.path}" if weights else ""
    first = (str(error).strip() or "no message").splitlines()[0]
    hint = " (the file is not the published one)" if weights and not weights.verified else ""
    return MissingError(f"extractor '{entry.name}' cannot be made{what}{hint}: {type(error).__name__}: {first}")
