"""Whose samples are whose where several ranks evaluate together, and their features brought together."""

from __future__ import annotations

import itertools

from torch import Tensor

from ganbench import ranks
from ganbench.evaluate.features import Features


def shares_of(count: int, batch: int, world: int) -> list[range]:
    """The samples of each rank, of ``count`` in all: whole batches one after the other, about as many for each.

    With fewer batches than ranks the last ranks have none; the first has always one.
    """
    batches = -(-count // batch)
    starts = [min(count, batch * -(-batches * rank // world)) for rank in range(world + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(starts)]


def gather_features(mine: Features | None, shares: list[range]) -> Features:
    """The features of all samples on rank 0, from those of each rank's share (None of an empty one).

    On the other ranks what comes back is empty.
    """
    if mine is None:
        return Features({}, None)
    found: dict[str, Tensor] = {}
    for layer in sorted(mine.layers):
        rows = ranks.gather_rows(mine.layers[layer], shares)
        if rows is not None:
            found[layer] = rows
    return Features(found, None if mine.clean is None else ranks.gather_rows(mine.clean, shares))
