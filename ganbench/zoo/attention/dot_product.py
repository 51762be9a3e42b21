"""Dot-product attention between the places of a feature map, as the blocks of this folder share it."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Layers, UsageError, attend


def eighth(channels: int, block: str) -> int:
    """C/8, rounded down, which ``block`` takes for queries and keys. Raises UsageError where that is nothing."""
    if channels < 8:
        raise UsageError(
            f"{block} takes an eighth of its channels for queries, and here are {channels}: put it at a feature "
            "map of 8 channels or more, or raise architecture.width"
        )
    return channels // 8


def places(features: Tensor, heads: int = 1) -> Tensor:
    """[B, heads * d, H, W] -> [B, heads, HW, d], contiguous: without, the fused kernel is slower than none."""
    return features.reshape(len(features), heads, -1, features.shape[2] * features.shape[3]).mT.contiguous()


class DotProductAttention(nn.Module):
    """x + gamma * o(x): [B, C, H, W] -> the same shape, the identity at first, since gamma starts at 0.

    1x1 convolutions without bias make ``heads`` times ``key_channels`` queries and keys and ``heads`` times
    ``value_channels`` values; ``pool`` max-pools keys and values 2x2; the softmax goes over the keys, of
    ``scale`` times the products; a 1x1 convolution leads back to C.

    The fused attention kernels have no second derivative: :func:`ganbench.api.input_gradients`, with which
    gradient penalties go through this block, has it written out.
    """

    identity_at_init: ClassVar[bool] = True

    def __init__(
        self,
        channels: int,
        layers: Layers,
        *,
        key_channels: int,
        value_channels: int,
        heads: int = 1,
        pool: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.heads, self.pool, self.scale = heads, pool, scale
        self.query = layers.conv(channels, heads * key_channels, 1, bias=False)
        self.key = layers.conv(channels, heads * key_channels, 1, bias=False)
        self.value = layers.conv(channels, heads * value_channels, 1, bias=False)
        self.output = layers.conv(heads * value_channels, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def _pooled(self, features: Tensor) -> Tensor:
        return F.max_pool2d(features, 2) if self.pool else features

    def _queries_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, heads, HW, d] and [B, heads, M, d], M a quarter of HW with pooling."""
        return places(self.query(x), self.heads), places(self._pooled(self.key(x)), self.heads)

    def attention_map(self, x: Tensor) -> Tensor:
        """What each place attends to: [B, C, H, W] -> [B, HW, M], rows of probabilities.

        With several heads [B, heads, HW, M].
        """
        queries, keys = self._queries_keys(x)
        attention = (self.scale * (queries @ keys.mT)).softmax(-1)
        return attention.squeeze(1) if self.heads == 1 else attention

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        queries, keys = self._queries_keys(x)
        values = places(self._pooled(self.value(x)), self.heads)
        attended = attend(queries, keys, values, self.scale)
        o: Tensor = self.output(attended.mT.reshape(len(x), -1, *x.shape[2:]))
        return x + self.gamma * o
