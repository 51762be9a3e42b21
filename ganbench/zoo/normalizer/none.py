"""No normalizer."""

from __future__ import annotations

from torch import Tensor, nn

from ganbench.api import Condition, Layers, normalizes


class Unnormalized(nn.Module):
    """An activation normalizer that does nothing: ``norm(x, condition)`` is ``x``."""

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """``x`` itself."""
        return x


@normalizes("weight", "activation")
def no_normalizer(module_or_channels: nn.Module | int, layers: Layers | None = None) -> nn.Module:
    """In either role, nothing: for a weight the module itself, for activations :class:`Unnormalized`."""
    if isinstance(module_or_channels, nn.Module):
        return module_or_channels
    return Unnormalized()
