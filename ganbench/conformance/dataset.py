"""The checks on a data set."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ganbench.conformance.report import Broken, Check, Cost, Noted, Skipped
from ganbench.data import ImageData, ImageSplit
from ganbench.errors import UsageError
from ganbench.places import Places
from ganbench.sources import AbsentError, RawData, RawSplit, Source, card_of

RESOLUTIONS = (32, 64, 28, 48, 128, 256, 16, 8)
"""Tried in this order until the data set has one."""
SOME = 64
"""Images of each split that are looked at where they are read from files."""


class DatasetSubject:
    """A data set at the first resolution that it takes, or what is found of one that is read from files."""

    def __init__(self, component: Any, options: dict[str, Any]) -> None:
        self.component, self.options = component, options

    def look(self) -> Source:
        """What the component finds below the data root of the environment."""
        if card_of(self.component) is None:
            raise Skipped("its images are made in memory")
        root = Places().data.resolve()
        try:
            source = self.component(root, **self.options)
        except AbsentError as absent:
            raise Skipped(f"{absent}: set GANBENCH_DATA to where data sets lie") from None
        if not isinstance(source, Source):
            raise Broken("a ganbench.api.Source", type(source).__name__, "the function returns something else")
        return source

    @cached_property
    def raw(self) -> RawData:
        """What the source holds."""
        return self.look().read()

    def load(self, resolution: int) -> Any:
        """The data afresh; of files, some images of each split."""
        if card_of(self.component) is None:
            return self.component(resolution, **self.options)
        raw = self.look().read()
        splits = {role: _some(split, resolution) for role, split in raw.splits.items()}
        return ImageData(splits["train"], splits.get("held_out"), len(raw.classes))

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


def _places(split: RawSplit) -> list[int]:
    """Of the images that are looked at, spread over the split."""
    count = min(len(split), SOME)
    return [place * len(split) // count for place in range(count)]


def _some(split: RawSplit, resolution: int) -> ImageSplit:
    from ganbench.decode import decode

    places = _places(split)
    pixels = [torch.from_numpy(decode(split.images[place], resolution).copy()) for place in places]
    labels = torch.from_numpy(np.asarray(split.labels)[places])
    return ImageSplit(torch.stack(pixels) if pixels else torch.empty(0), labels, split.name)


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
        highest = max(data.num_classes - 1, 0)
        if not 0 <= int(labels.min()) <= int(labels.max()) <= highest:
            raise Broken(
                f"{name} labels from 0 to {highest}",
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


def _keeps_its_key(subject: DatasetSubject) -> None:
    if subject.look().key != subject.look().key:
        raise Broken(
            "the same key while no file changes",
            "another one at the second look",
            "something else than names, sizes and times of the files is in it",
        )


def _travels_to_processes(subject: DatasetSubject) -> None:
    from ganbench.decode import decode

    for split in subject.raw.splits.values():
        place, images = _places(split)[-1], pickle.loads(pickle.dumps(split.images))
        if len(images) != len(split) or not np.array_equal(decode(images[place], 8), decode(split.images[place], 8)):
            raise Broken(
                f"the same {len(split)} {split.name} images after a pickle carried them",
                f"{len(images)} images, or others",
                "state that __reduce__ or __getstate__ leaves out",
            )


def _names_its_images(subject: DatasetSubject) -> None:
    for split in subject.raw.splits.values():
        names = [split.images.name(place) for place in _places(split)]
        if len(set(names)) != len(names):
            raise Broken(f"a name of its own for each {split.name} image", names[0], "name(index) ignores the index")


def costs(subject: DatasetSubject) -> Iterator[Cost]:
    """None."""
    yield from ()


CHECKS: tuple[Check[DatasetSubject], ...] = (
    Check("images and labels", _has_images_and_labels),
    Check("range of pixels", _uses_its_range),
    Check("the same again", _is_the_same_again),
    Check("splits are apart", _splits_are_apart),
    Check("key of its files", _keeps_its_key),
    Check("read in other processes", _travels_to_processes),
    Check("names of images", _names_its_images),
)
