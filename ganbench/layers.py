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

from ganbench.conditioning import (
    CONCAT_JOINT_UNITS,
    CONCAT_LABEL_UNITS,
    ClassifyingHead,
    ConcatGenerator,
    ConcatHead,
    Head,
    label_embedding,
)

Initializer = Callable[[Tensor], object]
"""Fills a weight in place, as the functions of ``torch.nn.init`` do."""
M = TypeVar("M", bound=nn.Module)


class Condition(NamedTuple):
    """What a normalizer may condition on."""

    labels: Tensor | None
    """int64 [B], or None in an unconditional network."""
    latent: Tensor | None
    """The vector [B, layers.latent_dim] that drives a generator; None in a discriminator."""
    vector: Tensor | None = None
    """What this place conditions on in place of both: [B, vector_dim], where ``layers.norm`` was told so."""


class PlacedBlock(NamedTuple):
    """An attention block in its place."""

    channels: int
    resolution: int
    size: Mapping[str, int]
    """The options that the place decided."""


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
        self.latent_dim = 2 * latent_dim if conditioning == "concat" else latent_dim
        """Size of the vector that drives a generator: z, with the embedded label where the conditioning is
        ``concat``; 0 in a discriminator."""
        self.conditioning = conditioning
        self.attention_at = attention_at
        self.feature_maps: list[int] = []
        """Every resolution at which the architecture offered a place for attention."""
        self.blocks: list[PlacedBlock] = []
        """The attention blocks that were placed."""
        self.norm_per_class = True
        """Read by a conditional normalizer: False where the place asks for its form without classes."""
        self.norm_vector_dim: int | None = None
        """Read by a conditional normalizer: the size of Condition.vector where the place gives one."""
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

    def norm(self, channels: int, *, per_class: bool = True, vector_dim: int | None = None) -> nn.Module:
        """The chosen activation normalizer, called as ``norm(x, condition)`` on x [B, channels, H, W].

        ``per_class=False`` is for a place where the model is published with one set of parameters for all
        classes, such as before the last convolution of a conditional ResNet generator. ``vector_dim`` is for
        an architecture that makes its own vector to condition on, as BigGAN joins an embedding of the label
        and a chunk of z: it calls the norm with that vector [B, vector_dim] as ``condition.vector``.
        """
        layers = copy.copy(self)
        layers.norm_per_class = per_class
        layers.norm_vector_dim = vector_dim
        return self._activation_norm(channels, layers)

    def attention(self, channels: int, resolution: int) -> nn.Module:
        """The chosen attention block where the spec wants one at this feature map, else the identity."""
        self.feature_maps.append(resolution)
        if resolution not in self.attention_at:
            return nn.Identity()
        size = self._attention_size(channels, resolution, self) if self._attention_size else {}
        self.blocks.append(PlacedBlock(channels, resolution, size))
        return self._attention_block(channels, self, **size)

    def head(self, features: int, *, bias: bool = True) -> nn.Module:
        """The discriminator's last layer by the chosen conditioning.

        Called as ``head(features, labels)`` on [B, features] and int64 [B] or None -> DiscriminatorOutput.
        """
        if self.conditioning == "projection":
            embedding = self.embedding(self.num_classes, features)
            return Head(self.linear(features, 1, bias=bias), embedding)
        if self.conditioning == "acgan":
            return ClassifyingHead(self.linear(features, 1, bias=bias), self.linear(features, self.num_classes))
        if self.conditioning == "concat":
            joint = self.linear(features + CONCAT_LABEL_UNITS, CONCAT_JOINT_UNITS)
            linear = self.linear(CONCAT_JOINT_UNITS, 1, bias=bias)
            return ConcatHead(joint, linear, label_embedding(self.num_classes, CONCAT_LABEL_UNITS))
        return Head(self.linear(features, 1, bias=bias))

    def driven(self, generator: nn.Module) -> nn.Module:
        """A generator that was built with these layers, called as ``g(z, y)`` with z as it is drawn.

        The harness calls this, no architecture does: with ``concat``, labels are joined to z before it.
        """
        if self.conditioning != "concat":
            return generator
        return ConcatGenerator(generator, label_embedding(self.num_classes, self.latent_dim // 2))
