"""Samples in an ``.npz``, as the evaluation suites of diffusion models exchange them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganbench.errors import MissingError

CHUNK = 256
"""Images that are in memory at a time."""


@dataclass(frozen=True)
class SampleArray:
    """``arr_0`` of a ``.npz``: uint8 [N, H, W, 3] or [N, 3, H, W], read a chunk at a time.

    ``arr_1``, where it is there, holds a label for each.
    """

    path: Path
    shape: tuple[int, int, int, int]
    """N, 3, H, W."""
    channels_last: bool
    labels: Tensor | None
    """int64 [N]."""

    def chunks(self) -> Iterator[Tensor]:
        """uint8 [n, 3, H, W] in their order."""
        count, _, height, width = self.shape
        layout = (height, width, 3) if self.channels_last else (3, height, width)
        size = 3 * height * width
        with _told(self.path), zipfile.ZipFile(self.path) as archive, archive.open("arr_0.npy") as member:
            _read_header(member)
            for start in range(0, count, CHUNK):
                n = min(CHUNK, count - start)
                content = member.read(n * size)
                if len(content) != n * size:
                    raise ValueError("arr_0 is shorter than it says")
                images = torch.from_numpy(np.frombuffer(content, np.uint8).reshape(n, *layout).copy())
                yield (images.permute(0, 3, 1, 2) if self.channels_last else images).contiguous()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever zipfile and numpy raise on a damaged file, as one line."""
    try:
        yield
    except MissingError:
        raise
    except Exception as error:
        raise MissingError(f"{path} is no .npz that can be read: {error}") from error


def open_samples(path: Path) -> SampleArray:
    """Look at the header of ``arr_0`` and read the labels; nothing is ever unpickled.

    Raises MissingError for a file that is no ``.npz`` of samples.
    """
    with _told(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if "arr_0" not in names:
            raise MissingError(
                f"{path} has no arr_0, but {', '.join(names) or 'nothing'}: save it by np.savez(FILE, X)"
            )
        with archive.open("arr_0.npy") as member:
            shape, fortran, dtype = _read_header(member)
        if dtype.hasobject:
            raise MissingError(f"{path} holds Python objects, which are never unpickled: save uint8 [N, H, W, 3]")
        last = len(shape) == 4 and shape[3] == 3
        if dtype != np.uint8 or fortran or len(shape) != 4 or not (last or shape[1] == 3) or 0 in shape:
            raise MissingError(
                f"{path}: arr_0 is {dtype} {list(shape)}{' in Fortran order' if fortran else ''}, "
                "not images as uint8 [N, H, W, 3] or [N, 3, H, W]"
            )
        labels = _labels(path, shape[0]) if "arr_1" in names else None
    n, *rest = shape
    height, width = rest[:2] if last else rest[1:]
    return SampleArray(path, (n, 3, height, width), last, labels)


def _labels(path: Path, count: int) -> Tensor:
    with np.load(path, allow_pickle=False) as arrays:
        labels: NDArray[Any] = arrays["arr_1"]
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise MissingError(
            f"{path}: arr_1 is {labels.dtype} {list(labels.shape)}, not a label for each of {count} images"
        )
    return torch.from_numpy(labels.astype(np.int64))


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = reader(member)
    return header
