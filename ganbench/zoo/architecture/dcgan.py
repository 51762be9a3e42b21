"""DCGAN: strided convolutions, batch norm, no residual connections."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Condition, DiscriminatorOutput, Layers, PositiveInt


class DCGANGenerator(nn.Module):
    """Transposed 4x4 convolutions, each but the last with norm and ReLU; the last with tanh.

    ``channels[0]`` stands at 4x4, every further one after a doubling, the image after the last.
    """

    def __init__(self, layers: Layers, channels: list[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList([layers.conv_transpose(layers.latent_dim, channels[0], 4, bias=False)])
        for before, after in zip(channels, [*channels[1:], 3], strict=True):
            self.convs.append(layers.conv_transpose(before, after, 4, stride=2, padding=1, bias=False))
        self.norms = nn.ModuleList(layers.norm(c) for c in channels)
        self.attention = nn.ModuleList(layers.attention(c, 4 << i) for i, c in enumerate(channels))

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        """[B, latent_dim] and int64 [B] or None -> [B, 3, R, R] in [-1, 1]."""
        condition = Condition(y, z)
        h = z[:, :, None, None]
        *convs, last = self.convs
        for conv, norm, attention in zip(convs, self.norms, self.attention, strict=True):
            h = attention(F.relu(norm(conv(h), condition)))
        return torch.tanh(last(h))


class DCGANDiscriminator(nn.Module):
    """4x4 convolutions of stride 2 with norm (but the first) and LeakyReLU 0.2, down to 4x4, then the head.

    The published last layer is a 4x4 convolution without padding to one logit: the same function as a
    linear layer on the flattened map, which lets the head condition on labels.
    """

    def __init__(self, layers: Layers, channels: list[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            layers.conv(before, after, 4, stride=2, padding=1, bias=False)
            for before, after in zip([3, *channels[:-1]], channels, strict=True)
        )
        self.norms = nn.ModuleList(layers.norm(c) for c in channels[1:])
        size = 4 << len(channels)
        self.attention = nn.ModuleList(layers.attention(c, size >> i + 1) for i, c in enumerate(channels))
        self.head = layers.head(channels[-1] * 4 * 4, bias=False)

    def forward(self, x: Tensor, y: Tensor | None) -> DiscriminatorOutput:
        """[B, 3, R, R] and int64 [B] or None -> logits [B]."""
        condition = Condition(y, None)
        for index, (conv, attention) in enumerate(zip(self.convs, self.attention, strict=True)):
            x = conv(x)
            if index > 0:
                x = self.norms[index - 1](x, condition)
            x = attention(F.leaky_relu(x, 0.2))
        output: DiscriminatorOutput = self.head(x.flatten(1), y)
        return output


class DCGAN:
    """Radford et al. (2016), in the version of the PyTorch examples: 64 px, width 64, a latent of 100.

    Each doubling of the resolution adds a stage, so 32 px has one less and 128 px one more (16 ``width``
    channels at 4x4). No biases; weights from N(0, 0.02), also those of attention blocks. The published
    model has batch norm in G and D, with weights from N(1, 0.02), and no weight normalizer.
    """

    resolutions: tuple[int, ...] = (32, 64, 128)

    def __init__(self, resolution: int, *, width: PositiveInt = 64) -> None:
        stages = resolution.bit_length() - 3  # from 4x4 to the resolution, a power of two
        self._channels = [width << i for i in range(stages)]
        self._init = partial(nn.init.normal_, std=0.02)

    def generator(self, layers: Layers) -> nn.Module:
        """G: [B, latent_dim] and labels [B] -> [B, 3, R, R] in [-1, 1]."""
        return DCGANGenerator(layers.initialised_by(self._init), self._channels[::-1])

    def discriminator(self, layers: Layers) -> nn.Module:
        """D: [B, 3, R, R] and labels [B] -> logits [B]."""
        return DCGANDiscriminator(layers.initialised_by(self._init), self._channels)
