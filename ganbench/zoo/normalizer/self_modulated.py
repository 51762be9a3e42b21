"""Self-modulated batch normalization."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from ganbench.api import Condition, Fraction, Layers, PositiveFloat, PositiveInt, UsageError, normalizes
from ganbench.zoo.normalizer.modulation import modulate

_INIT = partial(nn.init.normal_, std=0.02)


@normalizes("activation")
class SelfModulated(nn.Module):
    """Batch norm whose scale and shift are made from what drives the generator: [B, C, H, W] -> the same.

    Chen et al. (2019, arXiv 1810.01365), in the form of the authors' code: a hidden layer of 32 with ReLU,
    then a linear layer each for scale and shift, with biases that start at 1 and 0, weights from
    N(0, 0.02), and the network's weight normalizer. In a network with labels the input is
    z + E(y) + z * E'(y), as in the paper; flagged: here each norm has tables E and E' of its own, which the
    paper does not say, without a weight normalizer. Where the place asks for one set of parameters for all
    classes, E and E' are left out, and where the architecture gives a vector of its own, the input is that.
    """

    def __init__(
        self,
        channels: int,
        layers: Layers,
        *,
        hidden: PositiveInt = 32,
        momentum: Fraction = 0.1,
        eps: PositiveFloat = 1e-5,
    ) -> None:
        super().__init__()
        if layers.latent_dim == 0:
            raise UsageError(
                "self-modulated norm is made from z, which a discriminator does not have: use it as --norm-g, "
                "and none, batch, instance, layer or group as --norm-d"
            )
        size = layers.norm_vector_dim or layers.latent_dim
        self.norm = nn.BatchNorm2d(channels, eps=eps, momentum=momentum, affine=False)
        self.plus: nn.Embedding | None = None
        self.times: nn.Embedding | None = None
        if layers.num_classes and layers.norm_per_class and layers.norm_vector_dim is None:
            self.plus = nn.Embedding(layers.num_classes, size)
            self.times = nn.Embedding(layers.num_classes, size)
            _INIT(self.plus.weight)
            _INIT(self.times.weight)
        self.hidden = layers.linear(size, hidden, init=_INIT)
        self.scale = layers.linear(hidden, channels, init=_INIT)
        self.shift = layers.linear(hidden, channels, init=_INIT)
        nn.init.ones_(self.scale.bias)

    def _drive(self, condition: Condition) -> Tensor:
        """What the hidden layer sees, [B, size]."""
        z = condition.latent if condition.vector is None else condition.vector
        if z is None:
            raise ValueError("self-modulated norm was called without the latent vector")
        if self.plus is None or self.times is None:
            return z
        if condition.labels is None:
            raise ValueError("self-modulated norm was built for labels and called without")
        labelled: Tensor = z + self.plus(condition.labels) + z * self.times(condition.labels)
        return labelled

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], each image under the scale and shift that its z makes."""
        h: Tensor = self.norm(x)
        hidden = F.relu(self.hidden(self._drive(condition)))
        return modulate(h, self.scale(hidden), self.shift(hidden))
