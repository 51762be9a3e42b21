"""A folder, a zip or an ``.npz`` as one stack of images, with the hash of its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganbench.decode import BrokenImageError, read
from ganbench.errors import MissingError, UsageError
from ganbench.evaluate.bank import gather
from ganbench.evaluate.sources.arrays import open_samples
from ganbench.evaluate.sources.files import NamedFile, folder_files, zip_files
from ganbench.images import Images

CHUNK = 256
"""Pictures that are decoded at a time."""


@dataclass(frozen=True)
class ImageSet:
    """Images that somebody else made."""

    images: Images
    """uint8 [N, 3, H, W]."""
    labels: Tensor | None
    """int64 [N]; None where nothing tells them."""
    sha256: str
    """Over the pixels and labels with their shapes, whatever held them."""


def open_images(path: Path, *, skip_broken: bool, say: Callable[[str], None]) -> ImageSet:
    """Read everything once: a folder or a zip of pictures of one size by :func:`ganbench.decode.read`, or an ``.npz``.

    ``say`` is told every 5,000 pictures and of each broken one that is left out. Raises UsageError for what is
    none of these, MissingError for what is damaged, empty or of several sizes, and StoreError where there is no
    room for it.
    """
    if path.suffix.lower() == ".npz":
        samples = open_samples(path)
        return _gathered(samples.chunks(), samples.shape[0], samples.labels)
    if path.is_dir():
        files = folder_files(path)
    elif path.suffix.lower() == ".zip":
        files = zip_files(path)
    else:
        raise UsageError(f"{path} holds no images to score: give a folder, a .zip or an .npz")
    if skip_broken:
        files = _readable(files, say)
    return _gathered(_decoded(files, say), len(files), None)


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


def _decoded(files: Sequence[NamedFile], say: Callable[[str], None]) -> Iterator[Tensor]:
    """uint8 [n, 3, H, W], all of the first one's size."""
    size: tuple[int, ...] | None = None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), CHUNK):
            chunk = files[start : start + CHUNK]
            pictures = list(pool.map(_decode, chunk))
            for file, picture in zip(chunk, pictures, strict=True):
                size = size or picture.shape
                if picture.shape != size:
                    raise MissingError(
                        f"{file.name} has {_px(picture.shape)} and {files[0].name} {_px(size)}: "
                        "images that are scored must have one size"
                    )
            yield torch.from_numpy(np.stack(pictures))
            done = start + len(chunk)
            if done // 5000 > start // 5000:
                say(f"read {done:,} of {len(files):,} pictures")


def _decode(file: NamedFile) -> NDArray[np.uint8]:
    """[3, H, W]."""
    try:
        return np.asarray(read(file.read())).transpose(2, 0, 1)
    except BrokenImageError as error:
        raise MissingError(f"{file.name} is no picture that can be read: {error} (--skip-broken leaves it out)") from None


def _readable(files: Sequence[NamedFile], say: Callable[[str], None]) -> list[NamedFile]:
    """Those that can be decoded; the others are told. Raises MissingError where none can."""
    good = []
    for file in files:
        try:
            _decode(file)
        except MissingError as error:
            say(f"left out: {error}")
            continue
        good.append(file)
    if not good:
        raise MissingError(f"none of {len(files)} pictures can be read, the first is {files[0].name}")
    return good


def _px(shape: tuple[int, ...]) -> str:
    """[3, H, W] as width x height."""
    return f"{shape[2]}x{shape[1]} px"
