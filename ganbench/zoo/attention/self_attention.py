"""The self-attention block of SAGAN, as released."""

from __future__ import annotations

from ganbench.api import Layers
from ganbench.zoo.attention.dot_product import DotProductAttention, eighth


class SelfAttention(DotProductAttention):
    """x + gamma * o(x): [B, C, H, W] -> the same shape, the identity at first, since gamma starts at 0.

    Zhang et al. (2019), section 3, in the form of the released code, which made the paper's numbers: 1x1
    convolutions without bias, queries and keys of C/8 channels, values of C/2, keys and values max-pooled
    2x2, softmax over the keys without 1/sqrt(d), and a 1x1 convolution back to C: 1.25 C^2 + 1 parameters.
    The paper's text has C/8 channels throughout and no pooling: that is ``self-paper``.
    """

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__(
            channels,
            layers,
            key_channels=eighth(channels, "self-attention"),
            value_channels=channels // 2,
            pool=True,
        )
