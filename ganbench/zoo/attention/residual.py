"""The residual block that controls for the parameters of self-attention."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Layers, PositiveInt, UsageError


class Residual(nn.Module):
    """x + R(x), R a bottleneck of ReLU and 1x1, 3x3, 1x1 convolutions: [B, C, H, W] -> the same shape.

    Zhang et al. (2019), table 1, compare self-attention with residual blocks of the same number of
    parameters in the same place, and say no more of them. Flagged, since no code was released: this
    bottleneck is our definition. Its ``width`` of round(5C/18) brings it within 2 % of the parameters of
    self-attention for C = 64 to 1024. No norm, no bias, no gate.
    """

    size_option: ClassVar[str] = "width"

    def __init__(self, channels: int, layers: Layers, *, width: PositiveInt | None = None) -> None:
        super().__init__()
        if channels < 8:
            raise UsageError(
                f"the residual control stands in for self-attention, which takes 8 channels or more; here "
                f"are {channels}: put it at another feature map or raise architecture.width"
            )
        width = width or round(5 * channels / 18)
        self.conv1 = layers.conv(channels, width, 1, bias=False)
        self.conv2 = layers.conv(width, width, 3, padding=1, bias=False)
        self.conv3 = layers.conv(width, channels, 1, bias=False)

    def residue(self, x: Tensor) -> Tensor:
        """R(x): [B, C, H, W] -> [B, C, H, W]."""
        h = self.conv2(F.relu(self.conv1(F.relu(x))))
        residue: Tensor = self.conv3(F.relu(h))
        return residue

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return x + self.residue(x)
