"""Layer normalization."""

from __future__ import annotations

from torch import nn

from ganbench.api import Layers, PositiveFloat, normalizes
from ganbench.zoo.normalizer.plain import Plain


@normalizes("activation")
class Layer(Plain):
    """Ba et al. (2016), over channels and places of each image: [B, C, H, W] -> the same shape.

    As in WGAN-GP, whose discriminator at 64 px has it: one scale and one shift for each channel, shared by
    all places, which start at 1 and 0. That is group norm with one group.
    """

    def __init__(self, channels: int, layers: Layers, *, eps: PositiveFloat = 1e-5) -> None:
        super().__init__(nn.GroupNorm(1, channels, eps=eps))
