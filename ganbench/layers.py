"""What a network is built from: layers that come with the chosen normalizers and attention.

An architecture never names a normalizer or an attention block: it asks its :class:`Layers`, so every
architecture takes every one of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Initializer = Callable[[Tensor], object]
"""Fills a weight in place, as the functions of ``torch.nn.init`` do."""
M = TypeVar("M", bound=nn.Module)


class Condition(NamedTuple):
    """What a normalizer may condition on."""

    labels: Tensor | None
    """int64 [B], or None in an unconditional network."""
    latent: Tensor | None
    """The vector [B, latent_dim] that drives a generator; None in a discriminator."""


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says of a batch."""

    logits: Tensor
    """[B]: the higher, the more real."""
    class_logits: Tensor | None = None
    """[B, num_classes] where the conditioning has an auxiliary classifier."""


class PlacedBlock(NamedTuple):
    """An attention block in its place."""

    channels: int
    resolution: int
    size: Mapping[str, int]
    """The options that the place decided."""


class Head(nn.Module):
    """Features to logits; with projection, Miyato & Koyama (2018), eq. 3: plus <embed(y), features>."""

    def __init__(self, linear: nn.Module, embedding: nn.Module | None) -> None:
        super().__init__()
        self.linear = linear
        self.embedding = embedding

    def forward(self, features: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        """[B, F] and int64 [B] to logits [B]."""
        logits = self.linear(features).squeeze(1)
        if self.embedding is not None:
            logits = logits + (self.embedding(labels) * features).sum(1)
        return DiscriminatorOutput(logits)


class Layers:
    """The layer factory of one network.

    ``weight_norm`` wraps a module that has a ``weight``; ``activation_norm`` and ``attention_block`` make a
    module from a channel count. ``attention_size`` gives a block further options by its channels and
    resolution. Initialisation happens before a weight normalizer wraps: afterwards it would be lost without
    a word.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        latent_dim: int,
        conditioning: str,
        weight_norm: Callable[[nn.Module], nn.Module],
        activation_norm: Callable[[int, Layers], nn.Module],
        attention_block: Callable[..., nn.Module],
        attention_at: tuple[int, ...],
        attention_size: Callable[[int, int, Layers], Mapping[str, int]] | None = None,
    ) -> None:
        self.num_classes = num_classes
        """Classes of the labels; 0 in an unconditional network."""
        self.latent_dim = latent_dim
        self.conditioning = conditioning
        self.attention_at = attention_at
        self.feature_maps: list[int] = []
        """Every resolution at which the architecture offered a place for attention."""
        self.blocks: list[PlacedBlock] = []
        """The attention blocks that were placed."""
        self.norm_per_class = True
        """Read by a conditional normalizer: False where the place asks for its form without classes."""
        self._weight_norm = weight_norm
        self._activation_norm = activation_norm
        self._attention_block = attention_block
        self._attention_size = attention_size
        self._init: Initializer = nn.init.xavier_uniform_

    def initialised_by(self, init: Initializer) -> Layers:
        """The same factory with another default initialisation of weights (biases start at 0)."""
        twin = copy.copy(self)
        twin._init = init
        return twin

    def without_weight_norm(self) -> Layers:
        """The same factory with weights as they are."""
        twin = copy.copy(self)
        twin._weight_norm = lambda module: module
        return twin

    def _finish(self, module: M, init: Initializer | None) -> M:
        weight, bias = module.weight, getattr(module, "bias", None)
        with torch.no_grad():
            (init or self._init)(weight)  # type: ignore[arg-type]
            if isinstance(bias, Tensor):
                bias.zero_()
        return self._weight_norm(module)  # type: ignore[return-value]

    def conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        init: Initializer | None = None,
    ) -> nn.Conv2d:
        """A 2-d convolution, initialised, then weight-normalized."""
        module = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=bias)
        return self._finish(module, init)

    def conv_transpose(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        init: Initializer | None = None,
    ) -> nn.ConvTranspose2d:
        """A transposed 2-d convolution, initialised, then weight-normalized."""
        module = nn.ConvTranspose2d(in_channels, out_channels, kernel, stride, padding, bias=bias)
        return self._finish(module, init)

    def linear(
        self, in_features: int, out_features: int, *, bias: bool = True, init: Initializer | None = None
    ) -> nn.Linear:
        """A linear layer, initialised, then weight-normalized."""
        return self._finish(nn.Linear(in_features, out_features, bias=bias), init)

    def embedding(self, entries: int, features: int, *, init: Initializer | None = None) -> nn.Embedding:
        """An embedding table, initialised, then weight-normalized."""
        return self._finish(nn.Embedding(entries, features), init)

    def norm(self, channels: int, *, per_class: bool = True) -> nn.Module:
        """The chosen activation normalizer, called as ``norm(x, condition)`` on x [B, channels, H, W].

        ``per_class=False`` is for a place where the model is published with one set of parameters for all
        classes, such as before the last convolution of a conditional ResNet generator.
        """
        layers = copy.copy(self)
        layers.norm_per_class = per_class
        return self._activation_norm(channels, layers)

    def attention(self, channels: int, resolution: int) -> nn.Module:
        """The chosen attention block where the spec wants one at this feature map, else the identity."""
        self.feature_maps.append(resolution)
        if resolution not in self.attention_at:
            return nn.Identity()
        size = self._attention_size(channels, resolution, self) if self._attention_size else {}
        self.blocks.append(PlacedBlock(channels, resolution, size))
        return self._attention_block(channels, self, **size)

    def head(self, features: int, *, bias: bool = True) -> Head:
        """The discriminator's last layer by the chosen conditioning, called as ``head(features, labels)``."""
        projection = self.conditioning == "projection"
        embedding = self.embedding(self.num_classes, features) if projection else None
        return Head(self.linear(features, 1, bias=bias), embedding)
