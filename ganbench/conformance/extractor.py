"""The checks on an extractor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganbench.api import ExtractorCard, PublishedWeights
from ganbench.conformance.report import Broken, Check, Cost, Noted, Skipped
from ganbench.errors import MissingError
from ganbench.places import Places
from ganbench.weights import find

METRICS = ("isc", "fid", "kid", "prc")
"""torch-fidelity's metrics, for each of which an extractor names its default layer."""

_SHA256 = re.compile("[0-9a-f]{64}")


class ExtractorSubject:
    """An extractor with a batch of images of a size that it takes, made from its weights where they are at hand."""

    def __init__(self, component: Any, options: dict[str, Any], places: Places) -> None:
        self.component, self.options, self.places = component, options, places

    @cached_property
    def made(self) -> Any:
        """The network; loading its weights may take long. Skips the check where there are none to load."""
        files = getattr(getattr(self.component, "card", None), "weights", ())
        if not files:
            return self.component(**self.options)
        try:
            weights = find(self.component.__name__, files, self.places)
        except MissingError:
            raise Skipped("its weights are absent or other than published: see 'ganbench weights list'") from None
        return self.component(weights, **self.options)

    @cached_property
    def images(self) -> Tensor:
        """uint8 [3, 3, R, R]."""
        resolution = (self.component.card.resolutions or (64,))[0]
        return torch.randint(0, 256, (3, 3, resolution, resolution), dtype=torch.uint8)


def subject_of(component: Any, options: dict[str, Any]) -> ExtractorSubject:
    """The extractor, with weights from where the environment says."""
    return ExtractorSubject(component, options, Places())


def _has_a_card(subject: ExtractorSubject) -> None:
    card = getattr(subject.component, "card", None)
    if not isinstance(card, ExtractorCard):
        raise Broken("an ExtractorCard", f"{card!r}", "the decorator @ganbench.api.extracts is missing")
    if card.weights:
        _check_published(card.weights)
    elif not _SHA256.fullmatch(card.weights_sha256):
        raise Broken(
            "the sha256 of the weights, or the files that hold them",
            f"weights_sha256={card.weights_sha256!r}",
            "weights that no one checked: fill in weights_sha256, or weights",
        )


def _check_published(files: tuple[PublishedWeights, ...]) -> None:
    for file in files:
        if file.sha256 is not None and not _SHA256.fullmatch(file.sha256):
            raise Broken("64 hexadecimal digits", f"sha256={file.sha256!r} of {file.file}", "another kind of hash")


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
                f"finite features [3, D] of layer {layer}", f"{list(values.shape)}", "flatten or pool over the places"
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
        if not torch.equal(values, again):
            raise Broken("the same features on every call", "they change with the call", "dropout, or other chance")
        if (values[:1] - single).norm() > 1e-4 * single.norm():
            raise Broken("features of an image alone", "they change with its batch", "batch norm in training mode")


def _takes_any_size(subject: ExtractorSubject) -> None:
    if subject.component.card.resolutions is not None:
        raise Skipped("its card names the sizes it takes")
    for height, width in ((32, 32), (48, 40), (320, 320)):
        subject.made(subject.images.new_zeros(1, 3, height, width))


def _resizes_as_clean_fid(subject: ExtractorSubject) -> None:
    if subject.component.card.resize == "none":
        raise Skipped("it does not resize, so that clean-fid would not either")
    if not hasattr(subject.made, "clean_features"):
        raise Noted("no clean_features: its scores have no clean distance")
    layer = subject.made.get_default_feature_layer_for_metric("fid")
    width = subject.made(subject.images)[subject.made.features_list.index(layer)].shape[1]
    before = subject.images.clone()
    features = subject.made.clean_features(subject.images)
    if features.shape != (len(subject.images), width) or not features.isfinite().all():
        raise Broken(f"finite features [3, {width}], as fid's", f"{list(features.shape)}", "another layer than fid's")
    if not torch.equal(before, subject.images):
        raise Broken("images left as they are", "they changed", "an operation in place: work on a copy")


def costs(subject: ExtractorSubject) -> Iterator[Cost]:
    """None."""
    yield from ()


CHECKS: tuple[Check[ExtractorSubject], ...] = (
    Check("has a card", _has_a_card),
    Check("layers for every metric", _has_the_layers),
    Check("features", _gives_features),
    Check("any size", _takes_any_size),
    Check("clean-fid's resize", _resizes_as_clean_fid),
    Check("frozen", _is_frozen),
)
