"""The checks on a data set."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch

from ganbench.conformance.report import Broken, Check, Cost, Noted
from ganbench.data import ImageData, ImageSplit
from ganbench.errors import UsageError

RESOLUTIONS = (32, 64, 28, 48, 128, 256, 16, 8)
"""Tried in this order until the data set has one."""


class DatasetSubject:
    """A data set at the first resolution that it takes; loaded once."""

    def __init__(self, component: Any, options: dict[str, Any]) -> None:
        self.component, self.options = component, options

    def load(self, resolution: int) -> Any:
        """The data afresh."""
        return self.component(resolution, **self.options)

    @cached_property
    def loaded(self) -> tuple[int, ImageData]:
        """The resolution and the data."""
        refusals = []
        for resolution in RESOLUTIONS:
            try:
                data = self.load(resolution)
            except UsageError as error:
                refusals.append(str(error))
                continue
            if not isinstance(data, ImageData):
                raise Broken("a ganbench.api.ImageData", type(data).__name__, "the function returns something else")
            return resolution, data
        raise Broken(f"images at one of {', '.join(map(str, RESOLUTIONS))} px", refusals[0], "it takes none of them")


def subject_of(component: Any, options: dict[str, Any]) -> DatasetSubject:
    """The data set."""
    return DatasetSubject(component, options)


def _splits(data: ImageData) -> list[ImageSplit]:
    return [data.train] if data.held_out is None else [data.train, data.held_out]


def _has_images_and_labels(subject: DatasetSubject) -> None:
    resolution, data = subject.loaded
    for split in _splits(data):
        name, images, labels = split.name, split.images[:], split.labels
        expected = (len(labels), 3, resolution, resolution)
        if images.dtype != torch.uint8 or tuple(images.shape) != expected or len(labels) == 0:
            raise Broken(
                f"{name} images uint8 {list(expected)}, one at least",
                f"{images.dtype} {list(images.shape)}",
                "grey images need three equal channels, floats have to be scaled to 0 to 255",
            )
        if labels.dtype != torch.int64 or labels.dim() != 1:
            raise Broken(f"{name} labels int64 [N]", f"{labels.dtype} {list(labels.shape)}", "labels.long().flatten()")
        if data.num_classes and not 0 <= int(labels.min()) <= int(labels.max()) < data.num_classes:
            raise Broken(
                f"{name} labels from 0 to {data.num_classes - 1}",
                f"{labels.min()} to {labels.max()}",
                "classes counted from 1, or num_classes of another set",
            )


def _uses_its_range(subject: DatasetSubject) -> None:
    images = subject.loaded[1].train.images[:]
    if int(images.max()) < 128:
        raise Broken(
            "pixels that reach the upper half of 0 to 255", f"at most {images.max()}", "floats in [0, 1] cast to uint8"
        )


def _is_the_same_again(subject: DatasetSubject) -> None:
    resolution, data = subject.loaded
    if subject.load(resolution).fingerprint != data.fingerprint:
        raise Broken(
            "the same pixels and labels in the same order when loaded again",
            "another fingerprint",
            "a shuffle or a random crop: the harness draws batches itself",
        )


def _splits_are_apart(subject: DatasetSubject) -> None:
    _, data = subject.loaded
    sides = [{bytes(image.numpy().tobytes()) for image in split.images[:]} for split in _splits(data)]
    if len(sides) == 1:
        raise Noted("there is one split only, so that held-out images cannot say what a perfect generator scores")
    if shared := len(sides[0] & sides[1]):
        raise Noted(f"{shared} of {len(sides[1])} held-out images are in the train split as well")


def costs(subject: DatasetSubject) -> Iterator[Cost]:
    """None."""
    yield from ()


CHECKS: tuple[Check[DatasetSubject], ...] = (
    Check("images and labels", _has_images_and_labels),
    Check("range of pixels", _uses_its_range),
    Check("the same again", _is_the_same_again),
    Check("splits are apart", _splits_are_apart),
)
