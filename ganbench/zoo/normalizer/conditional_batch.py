"""Class-conditional batch normalization."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganbench.api import Condition, Fraction, Layers, PositiveFloat, UsageError, normalizes


@normalizes("activation")
class ConditionalBatch(nn.Module):
    """Batch norm with a scale and a shift for each class: [B, C, H, W] -> the same shape.

    Dumoulin et al. (2017), de Vries et al. (2017), as SNGAN and SAGAN use it. The tables start at 1 and 0
    and never have a weight normalizer: spectral norm would fix the scale that they are there to learn.
    Where the place asks for one set of parameters for all classes, it is plain batch norm. ``momentum`` is
    the weight of the new batch in the running statistics: 1 minus the decay that papers give.
    """

    def __init__(self, channels: int, layers: Layers, *, momentum: Fraction = 0.1, eps: PositiveFloat = 1e-5) -> None:
        super().__init__()
        if layers.num_classes == 0:
            raise UsageError(
                "conditional batch norm needs labels, and this network has none: "
                "use --norm-g batch or a conditional recipe"
            )
        self.norm = nn.BatchNorm2d(channels, eps=eps, momentum=momentum, affine=not layers.norm_per_class)
        self.scale: nn.Embedding | None = None
        self.shift: nn.Embedding | None = None
        if layers.norm_per_class:
            self.scale = nn.Embedding(layers.num_classes, channels)
            self.shift = nn.Embedding(layers.num_classes, channels)
            nn.init.ones_(self.scale.weight)
            nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], each image under the scale and shift of its label."""
        h: Tensor = self.norm(x)
        if self.scale is None or self.shift is None:
            return h
        if condition.labels is None:
            raise ValueError("conditional batch norm was called without labels")
        # In h's type: under autocast a float32 table would make every activation after it float32.
        scale = self.scale(condition.labels).to(h.dtype)[:, :, None, None]
        shift = self.shift(condition.labels).to(h.dtype)[:, :, None, None]
        return torch.addcmul(shift, scale, h)
