"""What the conditional normalizers share: a scale and a shift for each image and channel."""

from __future__ import annotations

import torch
from torch import Tensor


def modulate(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale * h + shift, for h [B, C, H, W] and the other two [B, C].

    In h's type: under autocast a float32 scale would make every activation after it float32.
    """
    return torch.addcmul(shift.to(h.dtype)[:, :, None, None], scale.to(h.dtype)[:, :, None, None], h)
