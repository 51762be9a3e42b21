"""The self-attention block of SAGAN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Layers, UsageError


class SelfAttention(nn.Module):
    """x + gamma * o(x): [B, C, H, W] -> the same shape, the identity at first, since gamma starts at 0.

    Zhang et al. (2019), section 3, in the form of the released code, which made the paper's numbers: 1x1
    convolutions without bias, queries and keys of C/8 channels, values of C/2, keys and values max-pooled
    2x2, softmax over the keys without 1/sqrt(d), and a 1x1 convolution back to C: 1.25 C^2 + 1 parameters.
    The paper's text has C/8 channels throughout and no pooling: that is another block.

    The fused attention kernels have no second derivative: a gradient penalty through this block needs
    ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`` around the forward pass.
    """

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        if channels < 8:
            raise UsageError(
                f"self-attention takes an eighth of its channels for queries, and here are {channels}: put "
                "it at a feature map of 8 channels or more, or raise architecture.width"
            )
        self.query = layers.conv(channels, channels // 8, 1, bias=False)
        self.key = layers.conv(channels, channels // 8, 1, bias=False)
        self.value = layers.conv(channels, channels // 2, 1, bias=False)
        self.output = layers.conv(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def _queries_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, HW, C/8] and [B, HW/4, C/8]."""
        return _places(self.query(x)), _places(F.max_pool2d(self.key(x), 2))

    def attention_map(self, x: Tensor) -> Tensor:
        """What each place attends to: [B, C, H, W] -> [B, HW, HW/4], rows of probabilities."""
        queries, keys = self._queries_keys(x)
        return (queries @ keys.mT).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        queries, keys = self._queries_keys(x)
        values = _places(F.max_pool2d(self.value(x), 2))
        # The fused kernels want one head dimension for all three; zeros add nothing to a product.
        short = values.shape[-1] - queries.shape[-1]
        queries, keys = F.pad(queries, (0, short)), F.pad(keys, (0, short))
        attended = F.scaled_dot_product_attention(
            queries.unsqueeze(1), keys.unsqueeze(1), values.unsqueeze(1), scale=1.0
        )
        o: Tensor = self.output(attended.squeeze(1).mT.reshape(len(x), -1, *x.shape[2:]))
        return x + self.gamma * o


def _places(features: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, HW, C], contiguous: without, the fused kernel is slower than none."""
    return features.flatten(2).mT.contiguous()
