"""No attention."""

from typing import ClassVar

from torch import Tensor, nn

from ganbench.api import Layers


class NoAttention(nn.Module):
    """The identity: [B, C, H, W] -> the same tensor."""

    identity_at_init: ClassVar[bool] = True

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """``x`` itself."""
        return x
