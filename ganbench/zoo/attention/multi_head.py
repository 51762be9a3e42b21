"""Multi-head attention on feature maps."""

from __future__ import annotations

from typing import ClassVar

from ganbench.api import Layers, PositiveInt, UsageError
from ganbench.zoo.attention.dot_product import DotProductAttention


class MultiHeadAttention(DotProductAttention):
    """x + gamma * o(x): [B, C, H, W] -> the same shape, the identity at first, since gamma starts at 0.

    Vaswani et al. (2017), section 3.2.2, over the places of a feature map: each head projects to queries,
    keys and values of ``head_size`` channels (C / ``heads`` by default, as in that paper: 4 C^2 + 1
    parameters), attends with 1/sqrt(head_size), and the heads together are projected back to C. Four heads
    are the default of the released code of Nichol & Dhariwal (2021), who put the block into image networks.

    Flagged: the paper's block has no gate and comes after a layer norm, which image networks replace by a
    group norm. Here the gate is SAGAN's, and there is no norm, so that the block differs from
    ``self-paper`` in its attention alone. No positional encoding.
    """

    size_option: ClassVar[str] = "head_size"

    def __init__(
        self, channels: int, layers: Layers, *, heads: PositiveInt = 4, head_size: PositiveInt | None = None
    ) -> None:
        if head_size is None and channels % heads != 0:
            raise UsageError(
                f"{channels} channels do not divide among {heads} heads: set attention.heads to a divisor, or "
                "the channels of a head with attention.head_size"
            )
        size = head_size or channels // heads
        super().__init__(channels, layers, key_channels=size, value_channels=size, heads=heads, scale=size**-0.5)
