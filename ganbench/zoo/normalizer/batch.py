"""Batch normalization."""

from __future__ import annotations

from torch import nn

from ganbench.api import Fraction, Layers, NonNegativeFloat, PositiveFloat, normalizes
from ganbench.zoo.normalizer.plain import Plain


@normalizes("activation")
class Batch(Plain):
    """Ioffe & Szegedy (2015), over batch and places: [B, C, H, W] -> the same shape.

    ``momentum`` is the weight of the new batch in the running statistics, as torch has it: 1 minus the decay
    that papers give. Weights start from N(1, init_std); DCGAN has 0.02.
    """

    def __init__(
        self,
        channels: int,
        layers: Layers,
        *,
        momentum: Fraction = 0.1,
        eps: PositiveFloat = 1e-5,
        init_std: NonNegativeFloat = 0.0,
    ) -> None:
        norm = nn.BatchNorm2d(channels, eps=eps, momentum=momentum)
        super().__init__(norm)
        if init_std > 0:
            nn.init.normal_(norm.weight, 1.0, init_std)
