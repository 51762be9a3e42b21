"""Differentiable augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ganbench.zoo.augmentation.shift import random_offsets, shift

Step = Literal["color", "translation", "cutout"]
_ALL: tuple[Step, ...] = ("color", "translation", "cutout")


class DiffAugment:
    """Zhao et al. (2020), section 3.2 and the released code, on images in [-1, 1].

    ``policy`` lists what is done, in this order; the paper has all three, or translation and cutout. Each
    image has its own draws: brightness + U(-0.5, 0.5), saturation times U(0, 2), contrast times U(0.5, 1.5);
    translation by up to 1/8 of the side with zeros outside; a hole of zeros of half the side.
    """

    def __init__(self, *, policy: tuple[Step, ...] = _ALL) -> None:
        self.policy = policy

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """[B, 3, R, R] -> the same shape, differentiable; no longer confined to [-1, 1]."""
        for step in self.policy:
            images = _STEPS[step](images, draws)
        return images


def _color(images: Tensor, draws: torch.Generator) -> Tensor:
    brightness, saturation, contrast = (torch.rand(len(images), 1, 1, 1, generator=draws).to(images) for _ in range(3))
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (saturation * 2) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def _translation(images: Tensor, draws: torch.Generator) -> Tensor:
    rows, columns = random_offsets(images, 1 / 8, draws)
    return shift(images, rows, columns, border="zero")


def _cutout(images: Tensor, draws: torch.Generator) -> Tensor:
    inside = []
    for side in images.shape[2:]:
        size = int(side / 2 + 0.5)
        # The hole's centre lies anywhere in the image, so that at a border only a part of it is seen.
        first = torch.randint(0, side + (1 - size % 2), (len(images), 1), generator=draws).to(images.device) - size // 2
        places = torch.arange(side, device=images.device)
        inside.append((places >= first) & (places < first + size))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0)


_STEPS: dict[Step, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
