"""The kernel distance: torch-fidelity's KID, on the same random subsets, in float64."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ganbench.evaluate.inception_score import SHUFFLE_SEED


def kernel_distance(fake: Tensor, real: Tensor, subsets: int, size: int) -> tuple[float, float]:
    """Mean and standard deviation over subsets of the unbiased squared MMD under (x . y / D + 1)^3.

    ``fake`` [N, D] and ``real`` [M, D] have at least ``size`` rows each.
    """
    draw = np.random.RandomState(SHUFFLE_SEED)
    found = []
    for _ in range(subsets):
        x = fake[torch.from_numpy(draw.choice(len(fake), size, replace=False))].double()
        y = real[torch.from_numpy(draw.choice(len(real), size, replace=False))].double()
        within = _off_diagonal_sum(_kernel(x, x)) + _off_diagonal_sum(_kernel(y, y))
        across = float(_kernel(x, y).sum())
        found.append(within / (size * (size - 1)) - 2 * across / size**2)
    return float(np.mean(found)), float(np.std(found))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return base * base * base  # a general power takes longer than the product


def _off_diagonal_sum(kernel: Tensor) -> float:
    return float(kernel.sum() - kernel.trace())
