"""BigGAN: SAGAN's networks, wider, with a shared class embedding and z entering at every block."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganbench.api import Condition, Layers, PositiveInt, UsageError
from ganbench.zoo.architecture.resnet import ResNetDiscriminator, ResNetGenerator


class _Plan(NamedTuple):
    """Channels as multiples of the width."""

    generator: tuple[int, ...]
    discriminator: tuple[int, ...]
    downsamplings: int


_PLANS = {
    32: _Plan((4, 4, 4, 4), (4, 4, 4, 4), 2),
    64: _Plan((16, 16, 8, 4, 2), (1, 2, 4, 8, 16), 4),
    128: _Plan((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
}


class BigGANGenerator(ResNetGenerator):
    """A ResNet generator whose z is cut into chunks: one for the linear layer, one for each block.

    The norms of a block are conditioned on its chunk and an embedding of the label that all blocks share.
    """

    def __init__(self, layers: Layers, channels: list[int], *, shared_dim: int) -> None:
        slots = len(channels)  # the linear layer and a block for each doubling
        chunk = layers.latent_dim // slots
        super().__init__(layers, channels, input_dim=chunk, vector_dim=shared_dim + chunk)
        self.chunk = chunk
        # Without the weight normalizer: the authors saw spectral norm on it cripple G.
        self.shared = nn.Embedding(layers.num_classes, shared_dim)
        nn.init.orthogonal_(self.shared.weight)

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """[B, latent_dim] and int64 [B] -> [B, 3, R, R] in [-1, 1]."""
        start, *chunks = torch.split(z, self.chunk, 1)
        label = self.shared(y)
        conditions = [Condition(y, z, torch.cat([label, chunk], 1)) for chunk in chunks]
        return self.render(start, [*conditions, Condition(y, z)])


class BigGAN:
    """Brock et al. (2019), as in the authors' PyTorch code (128 px, width 96, a latent of 120).

    The discriminator is SAGAN's, also in its blocks that widen in their first convolution. Orthogonal
    initialisation; flagged: the biases, which that code leaves as torch makes them, start at 0. The latent
    must be divisible by the number of blocks and one: 4, 5 and 6 at 32, 64 and 128 px. The networks for 32
    and 64 px are the code's own; at 32 px its script has width 64, no hierarchical latent, and weights from
    N(0, 0.02). Flagged: the orthogonal regularisation of the paper is left out, as in the code's script,
    and so is the truncation of z.

    The published model has spectral norm in G and D (but not on G's embedding), conditional batch norm in G,
    which is linear in the vector given here, none in D, projection, and one self-attention block in each
    network, at 64. With a norm in G that looks at neither, labels and all chunks of z but the first reach
    nothing.
    """

    resolutions: tuple[int, ...] = tuple(_PLANS)

    def __init__(self, resolution: int, *, width: PositiveInt = 96, shared_dim: PositiveInt = 128) -> None:
        self.resolution = resolution
        self.width = width
        self.shared_dim = shared_dim
        self._plan = _PLANS[resolution]

    def _check(self, layers: Layers) -> None:
        if layers.num_classes == 0:
            raise UsageError(
                "architecture 'biggan' is class-conditional: set --conditioning projection (as published), acgan "
                "or concat, with --num-classes"
            )
        slots = len(self._plan.generator)
        if layers.latent_dim % slots:
            raise UsageError(
                f"architecture 'biggan' at {self.resolution} px cuts the vector that drives G, of {layers.latent_dim}, "
                f"into {slots} chunks of one size: set --latent-dim to a multiple of {slots}, such as {20 * slots}"
            )

    def generator(self, layers: Layers) -> nn.Module:
        """G: [B, latent_dim] and labels [B] -> [B, 3, R, R] in [-1, 1]."""
        self._check(layers)
        channels = [self.width * multiple for multiple in self._plan.generator]
        return BigGANGenerator(layers.initialised_by(nn.init.orthogonal_), channels, shared_dim=self.shared_dim)

    def discriminator(self, layers: Layers) -> nn.Module:
        """D: [B, 3, R, R] and labels [B] -> logits [B]."""
        return ResNetDiscriminator(
            layers.initialised_by(nn.init.orthogonal_),
            self.resolution,
            [self.width * multiple for multiple in self._plan.discriminator],
            downsamplings=self._plan.downsamplings,
            hidden="out",
        )
