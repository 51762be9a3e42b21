"""The residual networks of SNGAN, SAGAN, WGAN-GP and BigGAN: blocks, and networks built from channel counts.

After Miyato et al. (2018), "Spectral Normalization for GANs", appendix B.4, and the released code of SNGAN
and SAGAN; what the other two change is an argument here. One thing is written otherwise than there, with
the same function: a 1x1 convolution on a skip runs at the lower resolution, before the upsampling or after
the average pooling with which it commutes.

No activation works in place: at the head of a block it would rectify the skip connection as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Condition, DiscriminatorOutput, Initializer, Layers, conv_pooled, conv_upsampled

HiddenWidth = Literal["in", "out"]
"""Which channel count lies between the two convolutions of a discriminator block."""
Pool = Literal["sum", "mean"]
"""How a discriminator joins all places before its head."""


def upsample(x: Tensor) -> Tensor:
    """Nearest neighbour, [B, C, H, W] -> [B, C, 2H, 2W]."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class GeneratorBlock(nn.Module):
    """norm, ReLU, x2, conv 3x3, norm, ReLU, conv 3x3, plus a skip: [B, I, H, W] -> [B, O, 2H, 2W].

    ``init`` fills the two 3x3 convolutions; None takes the default of ``layers``. ``vector_dim`` is that of
    :meth:`Layers.norm`.
    """

    def __init__(
        self,
        layers: Layers,
        in_channels: int,
        out_channels: int,
        *,
        init: Initializer | None = None,
        first_bias: bool = True,
        vector_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = layers.norm(in_channels, vector_dim=vector_dim)
        self.conv1 = layers.conv(in_channels, out_channels, 3, padding=1, bias=first_bias, init=init)
        self.norm2 = layers.norm(out_channels, vector_dim=vector_dim)
        self.conv2 = layers.conv(out_channels, out_channels, 3, padding=1, init=init)
        self.skip = layers.conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, I, H, W] -> [B, O, 2H, 2W]."""
        h = conv_upsampled(self.conv1, F.relu(self.norm1(x, condition)))
        h = self.conv2(F.relu(self.norm2(h, condition)))
        output: Tensor = h + upsample(self.skip(x))
        return output


class FirstBlock(nn.Module):
    """The discriminator's optimised first block: conv, ReLU, conv, pool, plus a skip.

    No activation comes before the first convolution, since its input is the image:
    [B, 3, H, W] -> [B, O, H/2, W/2].
    """

    def __init__(self, layers: Layers, out_channels: int, *, init: Initializer | None = None) -> None:
        super().__init__()
        self.conv1 = layers.conv(3, out_channels, 3, padding=1, init=init)
        self.norm = layers.norm(out_channels)
        self.conv2 = layers.conv(out_channels, out_channels, 3, padding=1, init=init)
        self.skip = layers.conv(3, out_channels, 1)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, 3, H, W] -> [B, O, H/2, W/2]."""
        h = conv_pooled(self.conv2, F.relu(self.norm(self.conv1(x), condition)))
        output: Tensor = h + self.skip(F.avg_pool2d(x, 2))
        return output


class DiscriminatorBlock(nn.Module):
    """norm, ReLU, conv 3x3, norm, ReLU, conv 3x3, pool if ``down``, plus a skip.

    The skip is the identity where nothing is pooled and the channels stay; else a 1x1 convolution. The
    published discriminators have no norm: the normalizer ``none`` makes none.
    """

    def __init__(
        self,
        layers: Layers,
        in_channels: int,
        out_channels: int,
        *,
        down: bool,
        hidden: HiddenWidth,
        init: Initializer | None = None,
        first_bias: bool = True,
    ) -> None:
        super().__init__()
        width = in_channels if hidden == "in" else out_channels
        self.down = down
        self.norm1 = layers.norm(in_channels)
        self.conv1 = layers.conv(in_channels, width, 3, padding=1, bias=first_bias, init=init)
        self.norm2 = layers.norm(width)
        self.conv2 = layers.conv(width, out_channels, 3, padding=1, init=init)
        identity = in_channels == out_channels and not down
        self.skip: nn.Module = nn.Identity() if identity else layers.conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, I, H, W] -> [B, O, H, W], or [B, O, H/2, W/2] if ``down``."""
        h = F.relu(self.norm2(self.conv1(F.relu(self.norm1(x, condition))), condition))
        if self.down:
            h, x = conv_pooled(self.conv2, h), F.avg_pool2d(x, 2)
        else:
            h = self.conv2(h)
        output: Tensor = h + self.skip(x)
        return output


class ResNetGenerator(nn.Module):
    """Linear, one :class:`GeneratorBlock` for each doubling, norm, ReLU, conv 3x3, tanh.

    ``channels[0]`` stands at ``start`` x ``start``; every further one after a doubling, and a place for
    attention after it. The last norm is the same for every class, as in both released codes.
    """

    def __init__(
        self,
        layers: Layers,
        channels: Sequence[int],
        *,
        start: int = 4,
        init: Initializer | None = None,
        output_init: Initializer | None = None,
        first_bias: bool = True,
        input_dim: int | None = None,
        vector_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.shape = (channels[0], start, start)
        self.linear = layers.linear(input_dim or layers.latent_dim, channels[0] * start * start)
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleList()
        resolution = start
        for before, after in pairwise(channels):
            resolution *= 2
            block = GeneratorBlock(layers, before, after, init=init, first_bias=first_bias, vector_dim=vector_dim)
            self.blocks.append(block)
            self.attention.append(layers.attention(after, resolution))
        self.norm = layers.norm(channels[-1], per_class=False)
        self.output = layers.conv(channels[-1], 3, 3, padding=1, init=output_init)

    def render(self, start: Tensor, conditions: Sequence[Condition]) -> Tensor:
        """[B, input_dim], and a condition for each block and for the last norm -> [B, 3, R, R] in [-1, 1]."""
        h = self.linear(start).unflatten(1, self.shape)
        *within, last = conditions
        for block, attention, condition in zip(self.blocks, self.attention, within, strict=True):
            h = attention(block(h, condition))
        return torch.tanh(self.output(F.relu(self.norm(h, last))))

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """[B, latent_dim] and int64 [B] or None -> [B, 3, R, R] in [-1, 1]."""
        return self.render(z, [Condition(y, z)] * (len(self.blocks) + 1))


class ResNetDiscriminator(nn.Module):
    """:class:`FirstBlock`, :class:`DiscriminatorBlock` for the rest, ReLU, sum or mean over places, head.

    One block for each entry of ``channels``, of which the first ``downsamplings`` halve the image. A place
    for attention comes after each block that halves: the others reach no new feature map, and one
    resolution must mean one block of attention.
    """

    def __init__(
        self,
        layers: Layers,
        resolution: int,
        channels: Sequence[int],
        *,
        downsamplings: int,
        hidden: HiddenWidth,
        pool: Pool = "sum",
        head_bias: bool = True,
        init: Initializer | None = None,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.blocks = nn.ModuleList([FirstBlock(layers, channels[0], init=init)])
        self.attention = nn.ModuleList([layers.attention(channels[0], resolution // 2)])
        for index in range(1, len(channels)):
            down = index < downsamplings
            self.blocks.append(
                DiscriminatorBlock(layers, channels[index - 1], channels[index], down=down, hidden=hidden, init=init)
            )
            reached = resolution // 2 ** (index + 1)
            self.attention.append(layers.attention(channels[index], reached) if down else nn.Identity())
        self.head = layers.head(channels[-1], bias=head_bias)

    def forward(self, x: Tensor, y: Tensor | None) -> DiscriminatorOutput:
        """[B, 3, R, R] and int64 [B] or None -> logits [B]."""
        condition = Condition(y, None)
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x, condition))
        h = F.relu(x)
        output: DiscriminatorOutput = self.head(h.sum((2, 3)) if self.pool == "sum" else h.mean((2, 3)), y)
        return output
