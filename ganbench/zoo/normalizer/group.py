"""Group normalization."""

from __future__ import annotations

from torch import nn

from ganbench.api import Layers, PositiveFloat, PositiveInt, UsageError, normalizes
from ganbench.zoo.normalizer.plain import Plain


@normalizes("activation")
class Group(Plain):
    """Wu & He (2018), over places and a group of channels of each image: [B, C, H, W] -> the same shape.

    ``groups`` is the paper's 32 if not given. A scale and a shift for each channel start at 1 and 0.
    """

    def __init__(self, channels: int, layers: Layers, *, groups: PositiveInt = 32, eps: PositiveFloat = 1e-5) -> None:
        if channels % groups:
            able = ", ".join(str(n) for n in range(1, channels + 1) if channels % n == 0)
            raise UsageError(
                f"group norm cannot part {channels} channels into groups={groups} of one size; they can be parted "
                f"into {able}: set groups of the norm, or another architecture.width"
            )
        super().__init__(nn.GroupNorm(groups, channels, eps=eps))
