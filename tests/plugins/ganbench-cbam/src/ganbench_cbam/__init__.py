"""Convolutional block attention for ganbench."""

import torch
from torch import Tensor, nn

from ganbench.api import Layers, PositiveInt


class CBAM(nn.Module):
    """Woo et al., 2018 (arXiv 1807.06521). [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, layers: Layers, *, reduction: PositiveInt = 8) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(layers.conv(channels, hidden, 1), nn.ReLU(), layers.conv(hidden, channels, 1))
        self.places = layers.conv(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels, then the places."""
        pooled = self.mlp(x.mean((2, 3), keepdim=True)) + self.mlp(x.amax((2, 3), keepdim=True))
        x = x * torch.sigmoid(pooled)
        described = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.places(described))
