"""The self-attention block of SAGAN, as the paper's text has it."""

from __future__ import annotations

from typing import ClassVar

from ganbench.api import Layers, PositiveInt
from ganbench.zoo.attention.dot_product import DotProductAttention, eighth


class SelfAttentionPaper(DotProductAttention):
    """x + gamma * o(x): [B, C, H, W] -> the same shape, the identity at first, since gamma starts at 0.

    Zhang et al. (2019), section 3, to the letter: queries, keys and values of C/8 channels, every place
    attends to every place, no 1/sqrt(d), and a 1x1 convolution back to C: 0.5 C^2 + 1 parameters. It differs
    from the released code, ``self``, in the values' channels and in that nothing is pooled; with
    ``value_channels`` at C/2 in the pooling alone.
    """

    size_option: ClassVar[str] = "value_channels"

    def __init__(self, channels: int, layers: Layers, *, value_channels: PositiveInt | None = None) -> None:
        published = eighth(channels, "self-attention")
        super().__init__(channels, layers, key_channels=published, value_channels=value_channels or published)
