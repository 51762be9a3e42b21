"""Some images of a split, drawn without repeats by a rule that is the same for every run."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ganbench.data import ImageSplit
from ganbench.images import Images
from ganbench.random import generator


class Selected(NamedTuple):
    """The images that a reference is made of."""

    images: Images
    labels: Tensor
    """int64 [N]."""


class _Some:
    """Chosen images of a stack, which are read when they are asked for."""

    def __init__(self, images: Images, index: Tensor) -> None:
        self._images, self._index = images, index

    @property
    def shape(self) -> torch.Size:
        """N, 3, H, W."""
        return torch.Size([len(self._index), *self._images.shape[1:]])

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: slice | Tensor, /) -> Tensor:
        return self._images[self._index[index]]


def select(split: ImageSplit, count: int | None) -> Selected:
    """``count`` of a split's images in its order; all of them where that is None or no fewer than there are.

    Which they are depends on the split's size alone, so that runs under all seeds have one reference.
    """
    if count is None or count >= len(split):
        return Selected(split.images, split.labels)
    index = torch.randperm(len(split), generator=generator(0, "reference"))[:count].sort().values
    return Selected(_Some(split.images, index), split.labels[index])
