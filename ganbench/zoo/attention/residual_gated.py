"""The residual control behind the gate of self-attention."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ganbench.api import Layers, PositiveInt
from ganbench.zoo.attention.residual import Residual


class GatedResidual(Residual):
    """x + gamma * R(x), R as in ``residual``: [B, C, H, W] -> the same shape, at first the identity.

    Flagged: our definition. It tells whether what self-attention gains in table 1 of Zhang et al. (2019) is
    its attention or its start as the identity.
    """

    identity_at_init: ClassVar[bool] = True

    def __init__(self, channels: int, layers: Layers, *, width: PositiveInt | None = None) -> None:
        super().__init__(channels, layers, width=width)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return x + self.gamma * self.residue(x)
