"""Scores of images or of a generator from anywhere against one reference, each with its protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganbench.errors import UsageError
from ganbench.evaluate.bank import Bank
from ganbench.evaluate.features import Extractor, card_of, metric_layers
from ganbench.evaluate.names import names_of
from ganbench.evaluate.protocol import extractor_facts, protocol, reference_key
from ganbench.evaluate.references import Statistics
from ganbench.evaluate.scoring import Reference, Scores
from ganbench.evaluate.watched import Watched
from ganbench.images import Images
from ganbench.places import Places
from ganbench.spec import EvaluationSpec


@dataclass(frozen=True)
class Real:
    """What samples are scored against."""

    images: Images
    """uint8 [N, 3, H, W]."""
    labels: Tensor | None
    """int64 [N]; None where there are no classes."""
    facts: dict[str, Any]
    """As JSON, for the protocol: what it is, its content's hash, resolution and count."""


@dataclass(frozen=True)
class Subject:
    """What is scored."""

    about: dict[str, Any]
    """Which it is, as JSON; no part of the protocol."""
    facts: dict[str, Any]
    """How its samples are made, as JSON, for the protocol; but for ``count`` and ``resolution``."""
    draw: Callable[[int], Bank]
    """The samples of repeat 0, 1, ...: each time others."""
    fixed: bool = False
    """Whether there is but one set of samples."""


class Comparison:
    """One reference with an extractor and settings, ready to score.

    ``network`` is what ``make_extractor`` made of ``settings.extractor``. ``say`` is told how far the features are,
    and what was wrong with kept statistics. Raises as :class:`ganbench.evaluate.scoring.Reference`.
    """

    def __init__(
        self,
        settings: EvaluationSpec,
        network: Extractor,
        real: Real,
        device: torch.device,
        places: Places,
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._real, self._say = settings, real, say
        card = card_of(network)
        self._judge = extractor_facts(settings.extractor, card, metric_layers(network), "float32")
        self.reference = Reference(
            network,
            Watched(real.images, "features of the reference", say),
            settings,
            labels=real.labels,
            families=settings.metrics,
            batch=settings.batch,
            statistics=Statistics(places.cache / "references", reference_key(self._judge, real.facts, device), say),
        )
        (self.primary,) = names_of("fid", inception=card.inception)

    def protocol(self, subject: Subject, bank: Bank) -> dict[str, Any]:
        """All that fixes what the scores of these samples mean."""
        samples = {**subject.facts, "count": len(bank.images), "resolution": resolution_of(bank.images)}
        return protocol(self._settings, self.reference.families, self._judge, self._real.facts, samples)

    def score(self, bank: Bank, *, checked: bool) -> Scores:
        """Score samples; ``checked`` by both libraries' own functions too.

        Raises UsageError for samples of another size than the reference, and as :meth:`Reference.score`.
        """
        size, wanted = resolution_of(bank.images), resolution_of(self._real.images)
        if size != wanted:
            raise UsageError(
                f"the samples have {told(size)} and the reference {told(wanted)}: scores compare images of one size"
            )
        images = Watched(bank.images, "features of the samples", self._say)
        return self.reference.score(images, bank.labels, checked=checked)


def resolution_of(images: Images) -> int | list[int]:
    """The side of squares; width and height of others."""
    height, width = images.shape[2:]
    return int(height) if height == width else [int(width), int(height)]


def told(resolution: int | list[int]) -> str:
    """A resolution for a person."""
    width, height = resolution if isinstance(resolution, list) else (resolution, resolution)
    return f"{width}x{height} px"
