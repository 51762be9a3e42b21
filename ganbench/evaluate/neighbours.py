"""Scores by nearest neighbours: precision and recall, density and coverage.

Kynkäänniemi et al., 2019 (as torch-fidelity computes it), and Naeem et al., 2020, on the same balls: around
each image, as wide as its k-th nearest neighbour of its own set is far, the rim included. Distances are made
in stripes and in float64: of 50,000 images all of them would take 20 GB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

_ELEMENTS = 2**24
"""Distances that are held at a time: 128 MiB."""
_COLUMNS = 4096
"""Features that are converted to float64 at a time."""


class Neighbourhoods(NamedTuple):
    """What the balls of either set say of the other's images."""

    precision: float
    """Share of the generated images that lie in a real image's ball."""
    recall: float
    """Share of the real images that lie in a generated image's ball."""
    density: float
    """Real images' balls that a generated image lies in, over k, in the mean: about 1 where the sets are alike."""
    coverage: float
    """Share of the real images' balls in which a generated image lies."""


def radii(features: Tensor, k: int) -> Tensor:
    """How far the k-th nearest other image is: float64 [N], from features [N, D] with N > k."""
    return torch.cat([stripe.kthvalue(k + 1, dim=1).values for _, stripe in _distances(features, features)])


def neighbourhoods(fake: Tensor, real: Tensor, real_radii: Tensor, k: int) -> Neighbourhoods:
    """Compare generated features [N, D] with real ones [M, D], both with more than k rows."""
    fake_radii = radii(fake, k)
    precise, inside = 0, 0
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool)
    for rows, stripe in _distances(fake, real):
        in_real = stripe <= real_radii
        precise += int(in_real.any(1).sum())
        inside += int(in_real.sum())
        covered |= in_real.any(0)
        recalled |= (stripe <= fake_radii[rows, None]).any(0)
    share = [float(found.double().mean()) for found in (recalled, covered)]
    return Neighbourhoods(precise / len(fake), share[0], inside / (k * len(fake)), share[1])


def _distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The Euclidean distances of some rows of x at a time from all of y: float64 [rows, len(y)]."""
    height = max(1, _ELEMENTS // len(y))
    for start in range(0, len(x), height):
        rows = slice(start, min(start + height, len(x)))
        some = x[rows].double()
        yield rows, torch.cat([torch.cdist(some, part.double()) for part in torch.split(y, _COLUMNS)], dim=1)
