"""Attention at a cost linear in the number of places."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ganbench.api import Layers, PositiveInt
from ganbench.zoo.attention.dot_product import eighth, places


class LinearAttention(nn.Module):
    """x + gamma * o(x): [B, C, H, W] -> the same shape, the identity at first, since gamma starts at 0.

    Shen et al. (2018), "Efficient Attention: Attention with Linear Complexities" (arXiv 1812.01243), with
    softmax normalization: the keys' channels are softmaxed over the places, the queries over their channels,
    and the product of keys and values, [d, e], is taken first. No [places, places] matrix is ever made: time
    and memory grow with the places, not with their square.

    Flagged: the paper leaves the channel counts open and adds the block without a gate. Here they are those
    of ``self`` (queries and keys C/8, values C/2, no biases: 1.25 C^2 + 1 parameters), and the gate is
    SAGAN's, so that the two differ in the attention alone. One head, nothing pooled.
    """

    identity_at_init: ClassVar[bool] = True
    size_option: ClassVar[str] = "value_channels"

    def __init__(self, channels: int, layers: Layers, *, value_channels: PositiveInt | None = None) -> None:
        super().__init__()
        keys, values = eighth(channels, "linear attention"), value_channels or channels // 2
        self.query = layers.conv(channels, keys, 1, bias=False)
        self.key = layers.conv(channels, keys, 1, bias=False)
        self.value = layers.conv(channels, values, 1, bias=False)
        self.output = layers.conv(values, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        queries = places(self.query(x)).softmax(-1)
        keys = places(self.key(x)).softmax(-2)
        context = keys.mT @ places(self.value(x))
        o: Tensor = self.output((queries @ context).mT.reshape(len(x), -1, *x.shape[2:]))
        return x + self.gamma * o
