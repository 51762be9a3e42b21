"""Class-conditional batch normalization."""

from __future__ import annotations

from torch import Tensor, nn

from ganbench.api import Condition, Fraction, Layers, PositiveFloat, UsageError, normalizes
from ganbench.zoo.normalizer.modulation import modulate


@normalizes("activation")
class ConditionalBatch(nn.Module):
    """Batch norm with a scale and a shift for each class: [B, C, H, W] -> the same shape.

    Dumoulin et al. (2017), de Vries et al. (2017), as SNGAN and SAGAN use it. The tables start at 1 and 0
    and never have a weight normalizer: spectral norm would fix the scale that they are there to learn.
    Where the place asks for one set of parameters for all classes, it is plain batch norm. ``momentum`` is
    the weight of the new batch in the running statistics: 1 minus the decay that papers give.

    Where the architecture gives a vector to condition on, the tables are linear layers on it without bias,
    with the network's weight normalizer, and the scale is 1 plus what its layer says: Brock et al. (2019),
    appendix B, as in the authors' PyTorch code.
    """

    def __init__(self, channels: int, layers: Layers, *, momentum: Fraction = 0.1, eps: PositiveFloat = 1e-5) -> None:
        super().__init__()
        if layers.num_classes == 0:
            raise UsageError(
                "conditional batch norm needs labels, and this network has none: "
                "use --norm-g batch or a conditional recipe"
            )
        self.norm = nn.BatchNorm2d(channels, eps=eps, momentum=momentum, affine=not layers.norm_per_class)
        self.by_vector = layers.norm_vector_dim is not None
        self.scale: nn.Module | None = None
        self.shift: nn.Module | None = None
        if not layers.norm_per_class:
            return
        if layers.norm_vector_dim is not None:
            self.scale = layers.linear(layers.norm_vector_dim, channels, bias=False)
            self.shift = layers.linear(layers.norm_vector_dim, channels, bias=False)
            return
        self.scale = nn.Embedding(layers.num_classes, channels)
        self.shift = nn.Embedding(layers.num_classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], each image under the scale and shift of its label or vector."""
        h: Tensor = self.norm(x)
        if self.scale is None or self.shift is None:
            return h
        if self.by_vector:
            return modulate(h, 1 + self.scale(condition.vector), self.shift(condition.vector))
        if condition.labels is None:
            raise ValueError("conditional batch norm was called without labels")
        return modulate(h, self.scale(condition.labels), self.shift(condition.labels))
