"""SNGAN: the ResNet GAN of spectral normalization, with or without projection."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from torch import nn

from ganbench.api import Layers, PositiveInt
from ganbench.zoo.architecture.resnet import ResNetDiscriminator, ResNetGenerator


class _Plan(NamedTuple):
    """Channels as multiples of the width."""

    start: int
    generator: tuple[int, ...]
    discriminator: tuple[int, ...]
    downsamplings: int


_PLANS = {
    32: _Plan(4, (4, 4, 4, 4), (2, 2, 2, 2), 2),
    48: _Plan(6, (8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
    64: _Plan(4, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), 5),
    128: _Plan(4, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
}


class SNGAN:
    """Miyato et al. (2018), appendix B.4, and Miyato & Koyama (2018), as in their released code.

    The discriminator's blocks are 'thin': between their two convolutions they have as many channels as
    before them. Glorot initialisation with a gain of sqrt 2 in the residual branches and 1 elsewhere. At 32
    px the last linear layer has no bias. All channel counts grow with ``width``; the published one is 64
    (256 channels in G and 128 in D at 32 px).

    The published model has no weight normalizer in G, spectral norm in D, (conditional) batch norm with a
    momentum of 0.1 and eps 2e-5 in G, none in D.
    """

    resolutions: tuple[int, ...] = tuple(_PLANS)

    def __init__(self, resolution: int, *, width: PositiveInt = 64) -> None:
        self.resolution = resolution
        self.width = width
        self._plan = _PLANS[resolution]
        self._init = partial(nn.init.xavier_uniform_, gain=math.sqrt(2))

    def generator(self, layers: Layers) -> nn.Module:
        """G: [B, latent_dim] and labels [B] -> [B, 3, R, R] in [-1, 1]."""
        channels = [self.width * multiple for multiple in self._plan.generator]
        return ResNetGenerator(layers, channels, start=self._plan.start, init=self._init)

    def discriminator(self, layers: Layers) -> nn.Module:
        """D: [B, 3, R, R] and labels [B] -> logits [B]."""
        return ResNetDiscriminator(
            layers,
            self.resolution,
            [self.width * multiple for multiple in self._plan.discriminator],
            downsamplings=self._plan.downsamplings,
            hidden="in",
            head_bias=self.resolution != 32,
            init=self._init,
        )
