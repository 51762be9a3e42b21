"""Squeeze and excitation: attention over channels."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Layers, PositiveInt, UsageError


class SqueezeExcite(nn.Module):
    """x times a weight for each channel: [B, C, H, W] -> the same shape.

    Hu et al. (2018; arXiv 1709.01507), section 3: the mean over the places, a bottleneck of C/16 channels
    (C / ``reduction``, or ``hidden``) with ReLU, back to C, sigmoid. Without biases, as the paper's
    section 3.2 and its count of 2 C^2 / reduction parameters have it; ``bias`` adds them. It starts at
    weights about 1/2 and not as the identity.
    """

    size_option: ClassVar[str] = "hidden"

    def __init__(
        self,
        channels: int,
        layers: Layers,
        *,
        reduction: PositiveInt = 16,
        hidden: PositiveInt | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        width = hidden or channels // reduction
        if width == 0:
            raise UsageError(
                f"squeeze-excite reduces {channels} channels by {reduction}, which leaves none: set "
                "attention.reduction or attention.hidden, or put it at a feature map of more channels"
            )
        if width > channels:
            raise UsageError(f"squeeze-excite is a bottleneck: attention.hidden={width} is above {channels} channels")
        self.squeeze = layers.conv(channels, width, 1, bias=bias)
        self.excite = layers.conv(width, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        weights: Tensor = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return x * weights
