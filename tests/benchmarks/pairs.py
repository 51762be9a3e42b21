"""Two ways of doing one thing, timed in turn, as one row of a table.

A machine that slows down for a while slows both sides of a pair, so the ratio of a pair says more than either
time. The scripts of this folder, one a promise of speed, print what this module measures: ``tox -e bench`` runs
them all. They are no tests: nothing here asserts a time, and pytest does not collect them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """How many times as long the baseline takes as ours, over several pairs."""

    what: str
    ours: float
    """Seconds, the median."""
    baseline: float
    """Seconds, the median."""
    quartiles: tuple[float, float, float]
    """Of the pairs' ratios, baseline over ours; the one in the middle is the median."""
    pairs: int
    promised: float

    def row(self) -> str:
        """A row of :data:`HEADER`'s table."""
        low, median, high = self.quartiles
        kept = "yes" if median >= self.promised else "NO"
        return (
            f"| {self.what} | {self.baseline:.3f} | {self.ours:.3f} | {median:.2f} ({low:.2f} to {high:.2f}) "
            f"| {self.promised:g} | {kept} | {self.pairs} |"
        )


HEADER = "| what | baseline s | ours s | ratio (quartiles) | promised | kept | pairs |\n|---|---|---|---|---|---|---|"


def compare(
    what: str, ours: Callable[[], object], baseline: Callable[[], object], *, promised: float, pairs: int = 7
) -> Ratio:
    """Call both sides in turn, each pair in the other order than the last, after a call of each to warm up.

    ``promised`` is the ratio that the project says it keeps. At least five pairs.
    """
    if pairs < 5:
        raise ValueError(f"a median of {pairs} pairs says little: take at least 5")
    ours()
    baseline()
    times: list[tuple[float, float]] = []
    for pair in range(pairs):
        if pair % 2:
            theirs, own = _seconds(baseline), _seconds(ours)
        else:
            own, theirs = _seconds(ours), _seconds(baseline)
        times.append((own, theirs))
    return Ratio(
        what,
        statistics.median(own for own, _ in times),
        statistics.median(theirs for _, theirs in times),
        _quartiles([theirs / own for own, theirs in times]),
        pairs,
        promised,
    )


def report(ratios: Sequence[Ratio]) -> None:
    """Print the table."""
    print(HEADER)
    for ratio in ratios:
        print(ratio.row(), flush=True)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _quartiles(ratios: list[float]) -> tuple[float, float, float]:
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return low, median, high
