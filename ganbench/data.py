"""Images as uint8 arrays, and the batch of a step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ganbench.images import Images
from ganbench.random import generator


@dataclass(frozen=True)
class ImageSplit:
    """Labelled images of one split."""

    images: Images
    """uint8 [N, 3, R, R], 0 to 255: a tensor, or a file that is indexed like one."""
    labels: Tensor
    """int64 [N]."""
    name: str = "train"
    """What its publisher calls it: train, test, val, unlabeled."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set at one resolution: what trains, and what is held out."""

    train: ImageSplit
    held_out: ImageSplit | None
    """None where the data set has one split only: then nothing says what a perfect generator would score."""
    num_classes: int
    """0 where there are no classes; all labels are 0 then."""
    content_sha256: str | None = None
    """Over the pixels and labels of both splits, where whoever made the data knows it."""

    @cached_property
    def fingerprint(self) -> str:
        """``content_sha256``, else sha256 over the pixels and labels of both splits, with their shapes."""
        if self.content_sha256 is not None:
            return self.content_sha256
        digest = hashlib.sha256()
        for split in filter(None, (self.train, self.held_out)):
            for tensor in (split.images[:], split.labels):
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


class Batches:
    """The real batches of a run: batch t is a pure function of (seed, t).

    The set lives on the device. Order is an epoch's permutation, drawn anew from (seed, epoch): no image
    repeats within an epoch. A batch that spans two epochs takes the rest of one and the start of the next.
    """

    def __init__(self, split: ImageSplit, batch: int, seed: int, device: torch.device) -> None:
        self._images = split.images[:].to(device)
        self._labels = split.labels.to(device)
        self._batch, self._seed, self._device = batch, seed, device
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            order = torch.randperm(len(self._labels), generator=generator(self._seed, "epoch", epoch))
            self._epoch, self._order = epoch, order
        return self._order

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images float32 [B, 3, R, R] in [-1, 1], channels last, and labels int64 [B]."""
        size, start = len(self._labels), step * self._batch
        pieces, position = [], start
        while position < start + self._batch:
            epoch, offset = divmod(position, size)
            count = min(size - offset, start + self._batch - position)
            pieces.append(self._permutation(epoch)[offset : offset + count])
            position += count
        index = torch.cat(pieces).to(self._device)
        images = self._images[index].to(torch.float32).mul_(2 / 255).sub_(1)
        return images.contiguous(memory_format=torch.channels_last), self._labels[index]
