"""Stacks of images and generators that tell how far they have been used, for a person who waits."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganbench.images import Images

SECONDS = 10.0
"""Between two lines; what is done sooner is not told."""


class Meter:
    """Counts, and says how far it is every ten seconds."""

    def __init__(self, what: str, total: int, say: Callable[[str], None]) -> None:
        self._what, self._total, self._say = what, total, say
        self._done, self._next = 0, time.monotonic() + SECONDS

    def add(self, count: int) -> None:
        """Count so many more."""
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + SECONDS
            self._say(f"{self._what}: {self._done:,} of {self._total:,}")


class Watched:
    """A stack of images; a pass over it from the start is told."""

    def __init__(self, images: Images, what: str, say: Callable[[str], None]) -> None:
        self._images, self._what, self._say = images, what, say
        self._meter = Meter(what, len(images), say)

    @property
    def shape(self) -> torch.Size:
        """N, 3, H, W."""
        return self._images.shape

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: slice | Tensor, /) -> Tensor:
        images = self._images[index]
        if isinstance(index, slice) and not index.start:
            self._meter = Meter(self._what, len(self), self._say)
        self._meter.add(len(images))
        return images


class WatchedGenerator(nn.Module):
    """A generator, called as ``g(z, y)``, of which ``count`` images are wanted."""

    def __init__(self, network: nn.Module, what: str, count: int, say: Callable[[str], None]) -> None:
        super().__init__()
        self._network = network
        self._meter = Meter(what, count, say)

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """What the generator returns."""
        images: Tensor = self._network(z, y)
        self._meter.add(len(z))
        return images
