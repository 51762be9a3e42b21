"""Instance normalization."""

from __future__ import annotations

from torch import nn

from ganbench.api import Layers, PositiveFloat, normalizes
from ganbench.zoo.normalizer.plain import Plain


@normalizes("activation")
class Instance(Plain):
    """Ulyanov et al. (2016), over the places of each image and channel: [B, C, H, W] -> the same shape.

    With a scale and a shift for each channel, which start at 1 and 0, and no running statistics: training
    and evaluation do the same.
    """

    def __init__(self, channels: int, layers: Layers, *, eps: PositiveFloat = 1e-5) -> None:
        super().__init__(nn.InstanceNorm2d(channels, eps=eps, affine=True))
