"""Batch normalization."""

from __future__ import annotations

from torch import Tensor, nn

from ganbench.api import Condition, Fraction, Layers, NonNegativeFloat, PositiveFloat, normalizes


@normalizes("activation")
class Batch(nn.Module):
    """Ioffe & Szegedy (2015), over batch and places: [B, C, H, W] -> the same shape.

    ``momentum`` is the weight of the new batch in the running statistics, as torch has it: 1 minus the decay
    that papers give. Weights start from N(1, init_std); DCGAN has 0.02.
    """

    def __init__(
        self,
        channels: int,
        layers: Layers,
        *,
        momentum: Fraction = 0.1,
        eps: PositiveFloat = 1e-5,
        init_std: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=eps, momentum=momentum)
        if init_std > 0:
            nn.init.normal_(self.norm.weight, 1.0, init_std)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]; the condition is not used."""
        output: Tensor = self.norm(x)
        return output
