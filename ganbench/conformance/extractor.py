"""The checks on an extractor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganbench.api import ExtractorCard
from ganbench.conformance.report import Broken, Check, Cost

METRICS = ("isc", "fid", "kid", "prc")
"""torch-fidelity's metrics, for each of which an extractor names its default layer."""


class ExtractorSubject:
    """An extractor with a batch of images of a size that it takes."""

    def __init__(self, component: Any, options: dict[str, Any]) -> None:
        self.component, self.options = component, options

    @cached_property
    def made(self) -> Any:
        """The network; loading its weights may take long."""
        return self.component(**self.options)

    @cached_property
    def images(self) -> Tensor:
        """uint8 [6, 3, R, R]."""
        resolution = (self.component.card.resolutions or (64,))[0]
        return torch.randint(0, 256, (6, 3, resolution, resolution), dtype=torch.uint8)


def subject_of(component: Any, options: dict[str, Any]) -> ExtractorSubject:
    """The extractor."""
    return ExtractorSubject(component, options)


def _has_a_card(subject: ExtractorSubject) -> None:
    card = getattr(subject.component, "card", None)
    if not isinstance(card, ExtractorCard) or len(card.weights_sha256) != 64:
        raise Broken(
            "a card with the sha256 of the weights", f"{card!r}", "the decorator @ganbench.api.extracts is missing"
        )


def _has_the_layers(subject: ExtractorSubject) -> None:
    layers = {metric: subject.made.get_default_feature_layer_for_metric(metric) for metric in METRICS}
    absent = {metric: layer for metric, layer in layers.items() if layer not in subject.made.features_list}
    if absent:
        metric, layer = next(iter(absent.items()))
        raise Broken(f"the layer that {metric} reads, {layer}", f"{subject.made.features_list}", "it is not requested")


def _gives_features(subject: ExtractorSubject) -> None:
    features = subject.made(subject.images)
    for layer, values in zip(subject.made.features_list, features, strict=True):
        if values.dim() != 2 or len(values) != len(subject.images) or not values.isfinite().all():
            raise Broken(
                f"finite features [6, D] of layer {layer}", f"{list(values.shape)}", "flatten or pool over the places"
            )


def _is_frozen(subject: ExtractorSubject) -> None:
    network = subject.made.train()
    moving = [name for name, p in network.named_parameters() if p.requires_grad]
    if moving or network.training:
        raise Broken(
            "a network that stays in evaluation mode and takes no gradient",
            f"{moving[0]} requires one" if moving else "train() puts it into training mode",
            "requires_grad_(False), and a train() that keeps to False",
        )
    first, second = network(subject.images), network(subject.images)
    alone = network(subject.images[:1])
    for values, again, single in zip(first, second, alone, strict=True):
        if not torch.equal(values, again) or not torch.allclose(values[:1], single, rtol=1e-4, atol=1e-5):
            raise Broken("features of an image alone", "they change with the call or the batch", "batch norm, dropout")


def costs(subject: ExtractorSubject) -> Iterator[Cost]:
    """None."""
    yield from ()


CHECKS: tuple[Check[ExtractorSubject], ...] = (
    Check("has a card", _has_a_card),
    Check("layers for every metric", _has_the_layers),
    Check("features", _gives_features),
    Check("frozen", _is_frozen),
)
