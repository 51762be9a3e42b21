"""SAGAN: the ResNet GAN that self-attention was added to."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from ganbench.api import Layers, PositiveInt
from ganbench.zoo.architecture.resnet import ResNetDiscriminator, ResNetGenerator


class _Plan(NamedTuple):
    """Channels as multiples of the width."""

    generator: tuple[int, ...]
    discriminator: tuple[int, ...]
    downsamplings: int


_PLANS = {
    32: _Plan((4, 4, 4, 4), (2, 2, 2, 2), 2),
    64: _Plan((16, 8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
    128: _Plan((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
    256: _Plan((16, 16, 8, 8, 4, 2, 1), (1, 2, 4, 8, 8, 16, 16), 6),
}


class SAGAN:
    """Zhang et al. (2019), as in the released code, which made the paper's numbers (128 px, width 64).

    Differs from SNGAN in the discriminator's blocks, which widen in their first convolution, in the Glorot
    initialisation, which has gain 1 throughout, and, at 64 px, in a last block that does not downsample.
    There is no official model at 32, 64 and 256 px. The first two follow SNGAN's channel counts; each
    further doubling adds a block to both networks, and the one of 256 px is a second block of 8 widths in
    each, as BigGAN (Brock et al., 2019) lengthens the same networks. Flagged: the released
    code gives the last batch norm of G a decay of 0.9999 and the others 0.999; here all have the decay that
    is set.

    The published model has spectral norm in G and D, conditional batch norm in G, none in D, and one
    self-attention block in each network (at 32 by default).
    """

    resolutions: tuple[int, ...] = tuple(_PLANS)

    def __init__(self, resolution: int, *, width: PositiveInt = 64) -> None:
        self.resolution = resolution
        self.width = width
        self._plan = _PLANS[resolution]

    def generator(self, layers: Layers) -> nn.Module:
        """G: [B, latent_dim] and labels [B] -> [B, 3, R, R] in [-1, 1]."""
        return ResNetGenerator(layers, [self.width * multiple for multiple in self._plan.generator])

    def discriminator(self, layers: Layers) -> nn.Module:
        """D: [B, 3, R, R] and labels [B] -> logits [B]."""
        return ResNetDiscriminator(
            layers,
            self.resolution,
            [self.width * multiple for multiple in self._plan.discriminator],
            downsamplings=self._plan.downsamplings,
            hidden="out",
        )
