"""The real batches of a run: which images, in what order, and how they come to the device in time."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from ganbench.data import ImageSplit
from ganbench.images import Images
from ganbench.random import generator

DEVICE_SHARE = 0.25
"""Of a GPU's free memory: what a training set may take to be held there whole."""
FILE_BYTES = 256 * 2**20
"""Up to this size a file is read whole into the memory of a device that shares the process's."""
WHOLE = slice(None)
"""All images of a batch."""
_PIECE_BYTES = 64 * 2**20
"""Read at a time of a file that is loaded whole."""


def room_for(images: Images, device: torch.device) -> float:
    """Bytes that images may take to be held on the device whole.

    On CUDA a share of what is free there now. Elsewhere a tensor is there already, so that it has no bound.
    """
    if device.type == "cuda":
        return DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]
    return math.inf if isinstance(images, Tensor) else FILE_BYTES


class Plan:
    """Which of ``size`` images make up batch t, and how they are shown: a pure function of (seed, t).

    An epoch's permutation is drawn anew from (seed, epoch), so no image repeats within an epoch. A batch that
    spans two epochs takes the rest of one and the start of the next. With ``flip`` each image of a batch is
    mirrored with chance 1/2. ``part`` says which images of every batch are wanted: a rank's, where several share it.
    """

    def __init__(self, size: int, batch: int, seed: int, flip: bool, part: slice) -> None:
        self._size, self._batch, self._seed, self._flip, self._part = size, batch, seed, flip, part
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._order = torch.randperm(self._size, generator=generator(self._seed, "epoch", epoch))
            self._epoch = epoch
        return self._order

    def index(self, step: int) -> Tensor:
        """The images of the part of a batch: int64 [B], on the CPU."""
        position, end = step * self._batch, (step + 1) * self._batch
        pieces = []
        while position < end:
            epoch, offset = divmod(position, self._size)
            count = min(self._size - offset, end - position)
            pieces.append(self._permutation(epoch)[offset : offset + count])
            position += count
        return torch.cat(pieces)[self._part]

    def shown(self, step: int, images: Tensor) -> Tensor:
        """A batch's images uint8 [B, 3, R, R] as they are shown, in channels-last order.

        They are moved while they are bytes, by whole images and planes: several times as fast as one by one.
        """
        if self._flip:
            mirrored = torch.randint(2, (self._batch,), generator=generator(self._seed, "flip", step))[self._part]
            sides = torch.arange(len(images)) + mirrored * len(images)
            images = torch.cat([images, images.flip(3)]).index_select(0, sides.to(images.device))
        return torch.stack(images.unbind(1), dim=-1).permute(0, 3, 1, 2)


class RealBatches(Protocol):
    """The real batches as a training step asks for them."""

    labels: Tensor
    """int64 [N], of all training images, on the CPU."""
    waited_seconds: float
    """From asking for a batch to having it, over all batches; on CUDA, to having queued its transfer."""

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch number ``step``: images float32 [B, 3, R, R] in [-1, 1] and labels int64 [B], on the device."""


class _Held:
    """Batches from images that lie on the device whole."""

    def __init__(self, split: ImageSplit, plan: Plan, device: torch.device) -> None:
        self._images, self._labels = _load(split.images, device), split.labels.to(device)
        self._plan, self._device = plan, device

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """uint8 [B, 3, R, R] and int64 [B], on the device."""
        index = self._plan.index(step).to(self._device)
        return self._images.index_select(0, index), self._labels[index]

    def close(self) -> None:
        """There is nothing to end."""


def _load(images: Images, device: torch.device) -> Tensor:
    """All images on the device; of a file no more than a piece lies in the process's memory beside them."""
    if isinstance(images, Tensor):
        return images.to(device)
    whole = torch.empty(images.shape, dtype=torch.uint8, device=device)
    piece = max(1, _PIECE_BYTES // math.prod(images.shape[1:]))
    for start in range(0, len(images), piece):
        whole[start : start + piece] = images[start : start + piece]
    return whole


class _Prefetched:
    """Batches that one thread gathers, always the one after the batch that was asked for last.

    Both are kept: the same batch may be asked for again. Any other is gathered when it is asked for, and the
    thread goes on from there. The thread also ends when this object is forgotten, and with the process.
    """

    def __init__(self, split: ImageSplit, plan: Plan, device: torch.device) -> None:
        self._split, self._plan, self._device = split, plan, device
        self._thread = ThreadPoolExecutor(1, "batches")
        self._kept: dict[int, Future[tuple[Tensor, Tensor]]] = {}

    def _gather(self, step: int) -> tuple[Tensor, Tensor]:
        """In the thread; page-locked for CUDA, where a copy then goes on while the device computes."""
        index = self._plan.index(step)
        images, labels = self._split.images[index], self._split.labels[index]
        if self._device.type == "cuda":
            return images.pin_memory(), labels.pin_memory()
        return images, labels

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """uint8 [B, 3, R, R] and int64 [B], on the device. Raises what the thread met."""
        wanted = (step, step + 1)
        for other in self._kept.keys() - set(wanted):
            self._kept.pop(other).cancel()
        for each in wanted:
            if each not in self._kept:
                self._kept[each] = self._thread.submit(self._gather, each)
        images, labels = self._kept[step].result()
        return images.to(self._device, non_blocking=True), labels.to(self._device, non_blocking=True)

    def close(self) -> None:
        """End the thread and wait for its end."""
        self._thread.shutdown(cancel_futures=True)
        self._kept.clear()


class Batches(RealBatches):
    """The real batches of a run: batch t is a pure function of (seed, t), wherever the images lie.

    They are held on the device whole where they take no more than ``room`` bytes (None: :func:`room_for`),
    else gathered by a thread, the next batch before it is asked for. With ``flip`` each image is mirrored with
    chance 1/2 every time it is shown. Of every batch the ``part`` is given, B images, drawn as those of the whole.
    A context manager: the thread ends with the block.
    """

    def __init__(
        self,
        split: ImageSplit,
        batch: int,
        seed: int,
        device: torch.device,
        *,
        flip: bool = False,
        part: slice = WHOLE,
        room: float | None = None,
    ) -> None:
        self.labels = split.labels
        self.waited_seconds = 0.0
        room = room_for(split.images, device) if room is None else room
        source = _Held if math.prod(split.images.shape) <= room else _Prefetched
        self._plan = Plan(len(split), batch, seed, flip, part)
        self._source: _Held | _Prefetched = source(split, self._plan, device)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images float32 [B, 3, R, R] in [-1, 1], channels last, and labels int64 [B].

        Raises MissingError where the file of the images cannot be read any more.
        """
        started = time.perf_counter()
        images, labels = self._source(step)
        real = self._plan.shown(step, images).to(torch.float32).mul_(2 / 255).sub_(1)
        self.waited_seconds += time.perf_counter() - started
        return real, labels

    def close(self) -> None:
        """End the thread, where there is one."""
        self._source.close()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
