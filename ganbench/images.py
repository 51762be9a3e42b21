"""Stacks of images that are indexed like a tensor, in memory or in a file.

A file is read where it is asked for and not mapped: pages of a map that were touched stay resident, and a
random order soon touches them all.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganbench.errors import MissingError


class Images(Protocol):
    """uint8 [N, 3, H, W]; a tensor is one."""

    @property
    def shape(self) -> torch.Size:
        """N, 3, H, W."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, index: slice | Tensor, /) -> Tensor:
        """The images of a slice, or of int64 [n] in that order, as uint8 [n, 3, H, W] on the CPU."""


def _bytes_of(images: Tensor) -> memoryview:
    """What a tensor holds, to be written to."""
    array: NDArray[np.uint8] = images.numpy()
    return array.reshape(-1).data


class ImageFile:
    """A ``.npy`` file of uint8 [N, 3, H, W] in C order, of which only what is asked for is in memory.

    Raises MissingError for a file that is none, or is shorter than it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read_header = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                    version, np.lib.format.read_array_header_2_0
                )
                shape, fortran, dtype = read_header(file)
                self._offset = file.tell()
                size = os.fstat(file.fileno()).st_size - self._offset
        except OSError as error:
            raise MissingError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise MissingError(f"{path} is no array file: {error}") from None
        if dtype != np.uint8 or fortran or len(shape) != 4 or shape[1] != 3:
            raise MissingError(f"{path} holds {dtype} {list(shape)}, not images as uint8 [N, 3, H, W]")
        self.shape = torch.Size(shape)
        self._stride = int(np.prod(shape[1:]))
        if size != len(self) * self._stride:
            raise MissingError(f"{path} has {size} bytes of pixels, not {len(self) * self._stride}: make it anew")
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: slice | Tensor, /) -> Tensor:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return self[torch.arange(start, stop, step)]
            images = torch.empty(max(stop - start, 0), *self.shape[1:], dtype=torch.uint8)
            self._read(_bytes_of(images), start)
            return images
        if bool(((index < 0) | (index >= len(self))).any()):
            raise IndexError(f"an index is outside the {len(self)} images of {self.path}")
        images = torch.empty(len(index), *self.shape[1:], dtype=torch.uint8)
        into = _bytes_of(images)
        for place, which in enumerate(index.tolist()):
            self._read(into[place * self._stride : (place + 1) * self._stride], which)
        return images

    def _read(self, into: memoryview, first: int) -> None:
        """Fill ``into`` from image number ``first`` on; one call of the system may give less than was asked."""
        done, start = 0, self._offset + first * self._stride
        while done < len(into):
            count = os.preadv(self._descriptor, [into[done:]], start + done)
            if count == 0:
                raise MissingError(f"{self.path} became shorter while it was read: make it anew")
            done += count
