"""A bank of samples: what every metric of one evaluation is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganbench.random import generator as draws_of


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Eval mode inside the block; afterwards every module's own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield network
    finally:
        for module, mode in modes:
            module.training = mode


def quantise(images: Tensor) -> Tensor:
    """Float [-1, 1] to uint8 [0, 255]: round((x + 1) * 127.5), clamped."""
    return images.float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)


@torch.no_grad()
def sample_bank(
    sampler: nn.Module,
    *,
    count: int,
    latent_dim: int,
    num_classes: int,
    seed: int,
    stream: str,
    batch: int,
    device: torch.device,
) -> Tensor:
    """``count`` samples, uint8 [N, 3, R, R] on the CPU; labels 0, 1, 2, ... in turn where there are classes.

    z comes from (seed, stream, first index of the batch). The sampler is left as it was, and float32 is
    used whatever the precision of training.
    """
    bank = []
    with evaluating(sampler):
        for start in range(0, count, batch):
            size = min(batch, count - start)
            z = torch.randn(size, latent_dim, generator=draws_of(seed, stream, start)).to(device)
            labels = torch.arange(start, start + size, device=device) % num_classes if num_classes else None
            bank.append(quantise(sampler(z, labels)).contiguous().cpu())
    return torch.cat(bank)
