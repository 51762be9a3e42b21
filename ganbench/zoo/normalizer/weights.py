"""What the weight normalizers share: the weight that they wrap, and its axis of outputs."""

from __future__ import annotations

from torch import Tensor, nn

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def weight_of(module: nn.Module) -> Tensor:
    """The tensor ``module.weight``. Raises TypeError where there is none."""
    weight = module.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(module).__name__} has no weight tensor to normalize")
    return weight


def output_axis(module: nn.Module) -> int:
    """Which axis of the weight counts the outputs: a transposed convolution has them on axis 1."""
    return 1 if isinstance(module, _TRANSPOSED) else 0
