"""What the normalizers share that do not look at the condition."""

from __future__ import annotations

from torch import Tensor, nn

from ganbench.api import Condition


class Plain(nn.Module):
    """One of torch's norms, called as the harness calls a normalizer: [B, C, H, W] -> the same shape."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]; the condition is not used."""
        output: Tensor = self.norm(x)
        return output
