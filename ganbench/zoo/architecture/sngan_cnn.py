"""The convolutional networks of SNGAN, without residual connections."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Condition, DiscriminatorOutput, Layers, PositiveInt


class SNGANCNNGenerator(nn.Module):
    """Linear to 4x4, transposed 4x4 convolutions with norm and ReLU, a 3x3 convolution, tanh.

    ``channels[0]`` stands at 4x4, every further one after a doubling, and a place for attention after it.
    """

    def __init__(self, layers: Layers, channels: list[int]) -> None:
        super().__init__()
        self.shape = (channels[0], 4, 4)
        self.linear = layers.linear(layers.latent_dim, channels[0] * 4 * 4)
        self.convs = nn.ModuleList(
            layers.conv_transpose(before, after, 4, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.norms = nn.ModuleList(layers.norm(c) for c in channels[1:])
        self.attention = nn.ModuleList(layers.attention(c, 8 << i) for i, c in enumerate(channels[1:]))
        self.output = layers.conv(channels[-1], 3, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """[B, latent_dim] and int64 [B] or None -> [B, 3, R, R] in [-1, 1]."""
        condition = Condition(y, z)
        h = self.linear(z).unflatten(1, self.shape)
        for conv, norm, attention in zip(self.convs, self.norms, self.attention, strict=True):
            h = attention(F.relu(norm(conv(h), condition)))
        return torch.tanh(self.output(h))


class SNGANCNNDiscriminator(nn.Module):
    """3x3 convolutions, each but the last followed by a 4x4 one of stride 2, LeakyReLU 0.1, then the head.

    A norm stands before each activation but the first, and a place for attention after each halving.
    """

    def __init__(self, layers: Layers, channels: list[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.attention = nn.ModuleList()
        before, resolution = 3, 4 << len(channels) - 1
        for index, after in enumerate(channels):
            self._add(layers, layers.conv(before, after, 3, padding=1), after)
            if index < len(channels) - 1:
                resolution //= 2
                self._add(layers, layers.conv(after, after, 4, stride=2, padding=1), after, resolution)
            before = after
        self.head = layers.head(channels[-1] * 4 * 4)

    def _add(self, layers: Layers, conv: nn.Module, channels: int, reached: int | None = None) -> None:
        """Append a convolution; ``reached`` is the new resolution where it halves the map."""
        self.norms.append(layers.norm(channels) if self.convs else nn.Identity())
        self.convs.append(conv)
        self.attention.append(nn.Identity() if reached is None else layers.attention(channels, reached))

    def forward(self, x: Tensor, y: Tensor | None) -> DiscriminatorOutput:
        """[B, 3, R, R] and int64 [B] or None -> logits [B]."""
        condition = Condition(y, None)
        for index, (conv, norm, attention) in enumerate(zip(self.convs, self.norms, self.attention, strict=True)):
            x = conv(x)
            if index > 0:
                x = norm(x, condition)
            x = attention(F.leaky_relu(x, 0.1))
        output: DiscriminatorOutput = self.head(x.flatten(1), y)
        return output


class SNGANCNN:
    """Miyato et al. (2018), table 3: the 'standard CNN' for images of 32 px, width 64.

    Weights from N(0, 0.02) and biases of 0, as in the DCGAN of the authors' chainer-gan-lib: the paper does
    not say. The published model has batch norm in G but after its linear layer, and in D spectral norm and
    no activation normalizer.
    """

    resolutions: tuple[int, ...] = (32,)

    def __init__(self, resolution: int, *, width: PositiveInt = 64) -> None:
        self._channels = [width, 2 * width, 4 * width, 8 * width]
        self._init = partial(nn.init.normal_, std=0.02)

    def generator(self, layers: Layers) -> nn.Module:
        """G: [B, latent_dim] and labels [B] -> [B, 3, 32, 32] in [-1, 1]."""
        return SNGANCNNGenerator(layers.initialised_by(self._init), self._channels[::-1])

    def discriminator(self, layers: Layers) -> nn.Module:
        """D: [B, 3, 32, 32] and labels [B] -> logits [B]."""
        return SNGANCNNDiscriminator(layers.initialised_by(self._init), self._channels)
