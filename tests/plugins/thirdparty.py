"""Generators as a third party may have them: good ones, and some that break what they promise."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def stripes(z: Tensor, y: Tensor | None) -> Tensor:
    """[B, latent_dim] -> [B, 3, 8, 8]: what z holds, in stripes."""
    assert y is None
    return torch.tanh(z[:, :8]).reshape(-1, 1, 1, 8).expand(-1, 3, 8, 8)


class Classes(nn.Module):
    """A factory by being a class: brightness is the class, with a dropout that training mode would show."""

    latent_dim = 3
    num_classes = 4

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        print("made")  # no data of ours

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """[B, 3], int64 [B] -> [B, 3, 8, 8]."""
        assert z.shape[1] == 3
        return self.dropout((y / 4 - 0.5)[:, None, None, None].expand(-1, 3, 8, 8))


def make() -> Classes:
    """A factory by taking nothing."""
    return Classes()


def no_number(z: Tensor, y: Tensor | None) -> Tensor:
    return stripes(z, y) * torch.nan


def bytes_like(z: Tensor, y: Tensor | None) -> Tensor:
    return stripes(z, y) * 127.5 + 127.5


def from_zero(z: Tensor, y: Tensor | None) -> Tensor:
    return stripes(z, y) * 0.5 + 0.5


def grey(z: Tensor, y: Tensor | None) -> Tensor:
    return stripes(z, y)[:, :1]


def too_few(z: Tensor, y: Tensor | None) -> Tensor:
    return stripes(z, y)[1:]


def whole_numbers(z: Tensor, y: Tensor | None) -> Tensor:
    return stripes(z, y).long()


def an_array(z: Tensor, y: Tensor | None) -> object:
    return stripes(z, y).numpy()


def growing(z: Tensor, y: Tensor | None, seen: list[int] = []) -> Tensor:  # noqa: B006
    seen.append(len(seen))
    return stripes(z, y)[..., : 8 - len(seen)]


def failing(z: Tensor, y: Tensor | None) -> Tensor:
    raise ValueError("the disk\nis on fire")


def makes_nothing() -> None:
    """A factory of nothing."""


NUMBER = 3


def digit_like(z: Tensor, y: Tensor | None) -> Tensor:
    """[B, latent_dim] -> [B, 3, 32, 32]."""
    return stripes(z, y).repeat_interleave(4, 2).repeat_interleave(4, 3)
