"""TensorFlow 1's bilinear resize, which Inception's published scores were taken with.

Corners are not aligned and nothing is smoothed: an image that shrinks is sampled, with aliasing. torch-fidelity
gathers four copies of the resized batch by advanced indexing; here each axis is gathered once, by index_select,
with the same products and sums in the same order, so that the result is the same to the last bit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def tensorflow_resize(images: Tensor, size: int) -> Tensor:
    """[B, C, H, W] of any type -> float32 [B, C, size, size], as torch-fidelity's interpolation with its defaults."""
    wide = _along(images.float(), 3, size)
    return _along(wide, 2, size)


def _along(images: Tensor, axis: int, size: int) -> Tensor:
    given = images.shape[axis]
    places = torch.arange(size, dtype=torch.float32, device=images.device) * (given / size)
    low = places.long()
    high = (low + 1).clamp_max(given - 1)
    share = places - low
    at_low = images.index_select(axis, low)
    return images.index_select(axis, high).sub_(at_low).mul_(share if axis == 3 else share[:, None]).add_(at_low)
