"""DINOv2's vision transformer, from its published state alone.

Oquab et al., 2023, as facebookresearch/dinov2 builds ``dinov2_vits14``, ``vitb14``, ``vitl14`` and ``vitg14``:
pre-norm blocks with layer scale, a class token, learned positions of a 37 x 37 grid; no registers. Its own code
comes through torch.hub, unpinned, and torch-fidelity takes no local copy of it, so the network is written here.
Every size is read from the state; a head has 64 channels in all four.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, scaled_dot_product_attention, silu

PATCH = 14
HEAD = 64
OFFSET = 0.1
"""What the published code adds to the wanted grid before it scales the positions; results depend on it."""


class VisionTransformer(nn.Module):
    """float [B, 3, H, W], normalised, H and W multiples of 14 -> the class token [B, D] after the last norm.

    Raises KeyError or RuntimeError for a state of something else.
    """

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        dim = state["cls_token"].shape[-1]
        depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
        gated = "blocks.0.mlp.w12.weight" in state
        hidden = len(state["blocks.0.mlp.w12.weight" if gated else "blocks.0.mlp.fc1.weight"])
        # On the meta device nothing is initialised, so that no random number is drawn.
        with torch.device("meta"):
            self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
            self.pos_embed = nn.Parameter(torch.empty(state["pos_embed"].shape))
            self.mask_token = nn.Parameter(torch.empty(1, dim))
            self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, PATCH, PATCH)})
            self.blocks = nn.Sequential(*(Block(dim, hidden, gated) for _ in range(depth)))
            self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.load_state_dict(state, assign=True)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """The class token."""
        patches = self.patch_embed["proj"](images)
        rows, columns = patches.shape[2:]
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).mT], dim=1)
        normed: Tensor = self.norm(self.blocks(tokens + self._positions(rows, columns)))
        return normed[:, 0]

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Those of a grid, float [1, 1 + rows * columns, D], by bicubic interpolation without antialias."""
        grid = self.pos_embed[:, 1:]
        side = round(grid.shape[1] ** 0.5)
        if rows == columns == side:
            return self.pos_embed
        scaled = interpolate(
            grid.reshape(1, side, side, -1).permute(0, 3, 1, 2),
            scale_factor=((rows + OFFSET) / side, (columns + OFFSET) / side),
            mode="bicubic",
        )
        return torch.cat([self.pos_embed[:, :1], scaled.flatten(2).mT], dim=1)


class Block(nn.Module):
    """[B, N, D] -> [B, N, D]."""

    def __init__(self, dim: int, hidden: int, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim)
        self.ls1 = Scale(dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Gated(dim, hidden) if gated else Perceptron(dim, hidden)
        self.ls2 = Scale(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Attention, then the perceptron, each added."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        added: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return added


class Attention(nn.Module):
    """Self-attention in heads of 64 channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        query, key, value = self.qkv(x).reshape(*x.shape[:2], 3, -1, HEAD).permute(2, 0, 3, 1, 4)
        attended: Tensor = self.proj(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return attended


class Perceptron(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        mixed: Tensor = self.fc2(gelu(self.fc1(x)))
        return mixed


class Gated(nn.Module):
    """SwiGLU: half of the hidden channels gate the other half; ``hidden`` counts both."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(dim, hidden)
        self.w3 = nn.Linear(hidden // 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        mixed: Tensor = self.w3(silu(gate) * value)
        return mixed


class Scale(nn.Module):
    """A factor a channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        return x * self.gamma
