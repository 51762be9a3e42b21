"""Each image of a batch shifted by its own whole number of pixels."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def random_offsets(images: Tensor, share: float, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows and columns, int64 [B] each, uniform up to a share of the side (rounded) in either direction."""
    offsets = []
    for side in images.shape[2:]:
        most = int(side * share + 0.5)
        offsets.append(torch.randint(-most, most + 1, (len(images),), generator=draws).to(images.device))
    return offsets[0], offsets[1]


def shift(images: Tensor, rows: Tensor, columns: Tensor, *, border: Literal["zero", "reflection"]) -> Tensor:
    """out[b, :, i, j] = images[b, :, i + rows[b], j + columns[b]], with 0 or the reflection outside.

    [B, C, H, W] -> the same shape, differentiable. A reflection reaches one side less a pixel.
    """
    if border == "zero":
        images = F.pad(images, (1, 1, 1, 1))
    height, width = images.shape[2:]
    margin = 1 if border == "zero" else 0
    i = _places(rows, height - 2 * margin, margin, border)
    j = _places(columns, width - 2 * margin, margin, border)
    batch = torch.arange(len(images), device=images.device)
    return images[batch[:, None, None], :, i[:, :, None], j[:, None, :]].permute(0, 3, 1, 2)


def _places(offsets: Tensor, size: int, margin: int, border: str) -> Tensor:
    """The source places [B, size] of one axis, in an image with ``margin`` zeros at either end."""
    places = torch.arange(size, device=offsets.device) + offsets[:, None] + margin
    if border == "zero":
        return places.clamp(0, size + 1)
    return (size - 1) - ((size - 1) - places.abs()).abs()
