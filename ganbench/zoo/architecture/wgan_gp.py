"""The residual networks of WGAN-GP."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from ganbench.api import Condition, DiscriminatorOutput, Initializer, Layers, PositiveInt
from ganbench.zoo.architecture.resnet import DiscriminatorBlock, ResNetDiscriminator, ResNetGenerator


class WGANGPDiscriminator64(nn.Module):
    """A 3x3 convolution at full resolution, blocks that each halve the map down to 4x4, then the head.

    The head sees the flattened map, with no activation or norm before it. A place for attention comes after
    each block.
    """

    def __init__(self, layers: Layers, channels: list[int], *, init: Initializer) -> None:
        super().__init__()
        self.input = layers.conv(3, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(layers, before, after, down=True, hidden="in", init=init, first_bias=False)
            for before, after in pairwise(channels)
        )
        self.attention = nn.ModuleList(layers.attention(c, 32 >> i) for i, c in enumerate(channels[1:]))
        self.head = layers.head(channels[-1] * 4 * 4)

    def forward(self, x: Tensor, y: Tensor | None) -> DiscriminatorOutput:
        """[B, 3, 64, 64] and int64 [B] or None -> logits [B]."""
        condition = Condition(y, None)
        h = self.input(x)
        for block, attention in zip(self.blocks, self.attention, strict=True):
            h = attention(block(h, condition))
        output: DiscriminatorOutput = self.head(h.flatten(1), y)
        return output


class WGANGP:
    """Gulrajani et al. (2017): the ResNet of the released code for CIFAR-10, and its 'good' one for 64 px.

    All channel counts grow with ``width``; the published one is 64, which is 128 channels throughout at 32
    px. There, D is SNGAN's with the mean over places in place of the sum. At 64 px, D ends in a linear layer
    on the flattened map, and the first convolution of each block has no bias. Glorot initialisation with a
    gain of sqrt 2 in the residual branches (and in the last convolution of G at 64 px), 1 elsewhere.

    The published model has no weight normalizer, batch norm in G, and in D no norm at 32 px and layer norm
    at 64 px. Batch norm in D is at odds with a penalty on the gradient for each image.
    """

    resolutions: tuple[int, ...] = (32, 64)

    def __init__(self, resolution: int, *, width: PositiveInt = 64) -> None:
        self.resolution = resolution
        self.width = width
        self._init = partial(nn.init.xavier_uniform_, gain=math.sqrt(2))

    def generator(self, layers: Layers) -> nn.Module:
        """G: [B, latent_dim] and labels [B] -> [B, 3, R, R] in [-1, 1]."""
        if self.resolution == 32:
            return ResNetGenerator(layers, [2 * self.width] * 4, init=self._init)
        channels = [self.width * multiple for multiple in (8, 8, 4, 2, 1)]
        return ResNetGenerator(layers, channels, init=self._init, output_init=self._init, first_bias=False)

    def discriminator(self, layers: Layers) -> nn.Module:
        """D: [B, 3, R, R] and labels [B] -> logits [B]."""
        if self.resolution == 32:
            channels = [2 * self.width] * 4
            return ResNetDiscriminator(
                layers, 32, channels, downsamplings=2, hidden="out", pool="mean", init=self._init
            )
        channels = [self.width * multiple for multiple in (1, 2, 4, 8, 8)]
        return WGANGPDiscriminator64(layers, channels, init=self._init)
