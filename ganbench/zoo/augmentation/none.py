"""No augmentation."""

from __future__ import annotations

import torch
from torch import Tensor


class NoAugmentation:
    """D sees the images as they are."""

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """``images`` themselves; nothing is drawn."""
        return images
