"""A folder, a zip or an ``.npz`` as one stack of images, with the hash of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganbench.data import ImageSplit
from ganbench.decode import read
from ganbench.errors import MissingError, UsageError
from ganbench.evaluate.bank import Bank, gather
from ganbench.evaluate.selection import select
from ganbench.evaluate.sources.arrays import open_samples
from ganbench.evaluate.watched import Meter
from ganbench.images import Images
from ganbench.trees import SUFFIXES, TreeImages, open_tree

CHUNK = 256
"""Pictures that are held at a time."""


@dataclass(frozen=True)
class ImageSet:
    """Images that somebody else made."""

    images: Images
    """uint8 [N, 3, H, W]."""
    labels: Tensor | None
    """int64 [N]; None where nothing tells them."""
    sha256: str
    """Over the pixels and labels with their shapes, whatever held them."""

    def some(self, count: int | None) -> Bank:
        """``count`` of them, drawn without repeats by the rule for references; all where that is None."""
        labels = torch.zeros(len(self.images), dtype=torch.int64) if self.labels is None else self.labels
        chosen = select(ImageSplit(self.images, labels), count)
        return Bank(chosen.images, None if self.labels is None else chosen.labels)


def open_images(path: Path, *, skip_broken: bool, say: Callable[[str], None]) -> ImageSet:
    """Read everything once: a folder or a zip of pictures of one size by :func:`ganbench.decode.read`, or an ``.npz``.

    ``say`` is told how far it is, and of what is left out. Raises UsageError for what is none of these,
    MissingError for what is not there, damaged, empty or of several sizes, and StoreError where there is no room
    for it.
    """
    if path.suffix.lower() == ".npz":
        samples = open_samples(path)
        return _gathered(samples.chunks(), samples.shape[0], samples.labels)
    if path.is_file() and path.suffix.lower() != ".zip":
        raise UsageError(f"{path} holds no images to score: give a folder, a .zip or an .npz")
    tree = open_tree(path)
    pictures = tree.images(sorted(tree.names))  # as text, which is torch-fidelity's order
    if not len(pictures):
        raise MissingError(f"{path} holds no picture: their names end in {', '.join(sorted(SUFFIXES))}")
    if tree.others:
        say(f"{path}: {len(tree.others)} files that are no pictures by their names, as {tree.others[0]}, are left out")
    if skip_broken:
        pictures = tree.images(_readable(pictures, path, say))
    return _gathered(_decoded(pictures, path, say), len(pictures), None)


def _gathered(chunks: Iterator[Tensor], count: int, labels: Tensor | None) -> ImageSet:
    digest = hashlib.sha256()

    def hashed() -> Iterator[Tensor]:
        for chunk in chunks:
            digest.update(chunk.numpy().data)
            yield chunk

    images = gather(hashed(), count)
    digest.update(f"{tuple(images.shape)}".encode())
    if labels is not None:
        digest.update(labels.numpy().data)
    return ImageSet(images, labels, digest.hexdigest())


def _decoded(pictures: TreeImages, path: Path, say: Callable[[str], None]) -> Iterator[Tensor]:
    """uint8 [n, 3, H, W], all of the first one's size."""
    meter = Meter(f"pictures of {path}", len(pictures), say)
    size: tuple[int, ...] | None = None
    for start in range(0, len(pictures), CHUNK):
        which = range(start, min(start + CHUNK, len(pictures)))
        decoded = [_decode(pictures, index, path) for index in which]
        for index, picture in zip(which, decoded, strict=True):
            size = size or picture.shape
            if picture.shape != size:
                raise MissingError(
                    f"{path}: {pictures.name(index)} has {_px(picture.shape)} and {pictures.name(0)} {_px(size)}: "
                    "images that are scored must have one size"
                )
        meter.add(len(which))
        yield torch.from_numpy(np.stack(decoded))


def _decode(pictures: TreeImages, index: int, path: Path) -> NDArray[np.uint8]:
    """[3, H, W]. Raises MissingError with the picture's name."""
    try:
        return np.ascontiguousarray(np.asarray(read(pictures[index])).transpose(2, 0, 1))
    except Exception as error:  # zipfile raises what it likes at a damaged member, or one under a password
        raise MissingError(
            f"{path}: {pictures.name(index)} cannot be read: {error} (--skip-broken leaves such pictures out)"
        ) from error


def _readable(pictures: TreeImages, path: Path, say: Callable[[str], None]) -> list[str]:
    """The names of those that can be decoded; the others are told. Raises MissingError where none can."""
    good = []
    for index in range(len(pictures)):
        try:
            _decode(pictures, index, path)
        except MissingError as error:
            say(f"left out: {error}")
            continue
        good.append(pictures.name(index))
    if not good:
        raise MissingError(f"{path}: none of {len(pictures)} pictures can be read, the first is {pictures.name(0)}")
    return good


def _px(shape: tuple[int, ...]) -> str:
    """[3, H, W] as width x height."""
    return f"{shape[2]}x{shape[1]} px"
