"""Statistics over the seeds of a row: few numbers, no shape assumed, the same digits on every machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Of every interval."""
EXACT_UP_TO = 8
"""Numbers whose resamples are all counted: 8 of them have 6,435 resamples that differ, and 16,777,216 in all."""
RESAMPLES = 10_000
"""Drawn where there are more numbers than that."""
MARKED_FROM = 3
"""Common seeds below which no difference is marked: two agree in sign every other time by chance alone."""


@dataclass(frozen=True)
class Summary:
    """Some numbers in short."""

    n: int
    """How many numbers."""
    mean: float
    """NaN for none, and where one of them is NaN."""
    std: float
    """With n - 1 in the denominator; NaN for fewer than 2."""
    low: float
    """Lower end of :func:`bootstrap_interval`."""
    high: float
    """Upper end."""

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval lies on one side of 0; False without an interval."""
        return self.low > 0 or self.high < 0


def summarise(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and interval of some numbers, non-finite ones included."""
    n = len(values)
    finite = all(map(math.isfinite, values))
    mean = math.fsum(values) / n if n and finite else math.nan
    if n and not finite:
        mean = float(np.sum(values))  # inf, -inf or NaN: what the sum of such numbers is
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 and finite else math.nan
    return Summary(n, mean, std, *bootstrap_interval(values))


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean (Efron, 1979); NaN twice for fewer than 2 or non-finite.

    Its lower end is the least mean that at most 97.5 % of the resamples exceed, its upper end the greatest
    that at most 97.5 % fall short of. Up to :data:`EXACT_UP_TO` numbers the resamples are all counted; beyond,
    they are drawn, the same every time. With 2 or 3 numbers it reaches from the least to the greatest.
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan, math.nan
    means, counts = _all_resamples(values) if len(values) <= EXACT_UP_TO else _drawn_resamples(values)
    order = np.argsort(means, kind="stable")
    means, counts = means[order], counts[order]
    total = int(counts.sum())
    # In whole numbers, so that no rounding decides: tail is the resamples that each end may leave out.
    tail = round((1 - LEVEL) / 2 * 1000) * total
    below = np.cumsum(counts) * 1000
    above = np.cumsum(counts[::-1]) * 1000
    low = means[int(np.argmax(below > tail))]
    high = means[::-1][int(np.argmax(above > tail))]
    return float(low), float(high)


def _all_resamples(values: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The mean of every resample, and in how many orders it can be drawn."""
    n = len(values)
    means, counts = [], []
    for chosen in combinations_with_replacement(range(n), n):
        means.append(math.fsum(values[index] for index in chosen) / n)
        repeats = math.prod(math.factorial(chosen.count(index)) for index in set(chosen))
        counts.append(math.factorial(n) // repeats)
    return np.array(means), np.array(counts, dtype=np.int64)


def _drawn_resamples(values: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    import torch

    from ganbench.random import generator

    n = len(values)
    chosen = torch.randint(n, (RESAMPLES, n), generator=generator(0, "bootstrap"))
    return np.asarray(values, dtype=np.float64)[chosen.numpy()].mean(axis=1), np.ones(RESAMPLES, dtype=np.int64)


def paired_differences(ours: Mapping[int, float], reference: Mapping[int, float]) -> Summary:
    """Ours less the reference's, seed by seed where both have one; the keys are seeds."""
    return summarise([ours[seed] - reference[seed] for seed in sorted(ours.keys() & reference.keys())])


def is_marked(differences: Summary) -> bool:
    """Whether a difference may be called one: its interval excludes 0, over at least :data:`MARKED_FROM` seeds."""
    return differences.n >= MARKED_FROM and differences.excludes_zero


def chance_of_excluding_zero(n: int) -> float | None:
    """How often the interval of ``n`` paired differences excludes 0 where there is none; None where unknown.

    Known where the interval reaches from the least to the greatest: it excludes 0 when all signs agree, which
    has the chance 2 to the power of 1 - n if each sign is a fair coin.
    """
    return 2.0 ** (1 - n) if n in (2, 3) else None


def rank_agreement(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, int]:
    """Kendall's tau-b of two orders of the same rows, and the rows it is over: those with a finite number in both.

    1 where the orders agree, -1 where one is the other reversed; NaN for fewer than 2 rows, or where one side
    gives all its rows the same number.
    """
    from scipy.stats import kendalltau

    pairs = [pair for pair in zip(ours, theirs, strict=True) if all(map(math.isfinite, pair))]
    if len(pairs) < 2 or any(len(set(side)) < 2 for side in zip(*pairs, strict=True)):
        return math.nan, len(pairs)
    return float(kendalltau(*zip(*pairs, strict=True), variant="b").statistic), len(pairs)
