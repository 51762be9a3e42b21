"""Statistics over seeds, against hand-computed values, full enumeration and scipy."""

from __future__ import annotations

import itertools
import math
import statistics as stdlib
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ganbench import statistics
from ganbench.statistics import (
    Summary,
    bootstrap_interval,
    chance_of_excluding_zero,
    is_marked,
    paired_differences,
    rank_agreement,
    summarise,
)

SCORES = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
FEW = st.lists(SCORES, min_size=2, max_size=4)


def enumerated(values: Sequence[float]) -> tuple[float, float]:
    """The interval from all n to the power of n resamples, written out."""
    means = sorted(math.fsum(drawn) / len(values) for drawn in itertools.product(values, repeat=len(values)))
    left_out = len(means) * 25 // 1000  # as many as 2.5 % hold
    return means[left_out], means[-1 - left_out]


def test_hand_computed() -> None:
    found = summarise([10.0, 12.0, 17.0])
    assert (found.n, found.mean) == (3, 13.0)
    assert found.std == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    # 1 of 27 resamples is three times the least: 3.7 %, more than may be left out.
    assert (found.low, found.high) == (10.0, 17.0)
    # Of 256 resamples 6 may be left out at either end. Sums in order: 0 once, 1 four times, 2 six times.
    assert bootstrap_interval([0.0, 1.0, 2.0, 3.0]) == (0.5, 2.5)


@given(FEW)
def test_the_interval_is_that_of_all_resamples(values: list[float]) -> None:
    assert bootstrap_interval(values) == pytest.approx(enumerated(values), rel=1e-12, abs=1e-9)


@given(FEW)
def test_numpy_agrees_on_the_quantiles(values: list[float]) -> None:
    means = [math.fsum(drawn) / len(values) for drawn in itertools.product(values, repeat=len(values))]
    low = np.quantile(means, 0.025, method="inverted_cdf")
    assert bootstrap_interval(values)[0] == pytest.approx(low, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("n", [5, 8, 12, 30])
def test_scipy_agrees(n: int) -> None:
    values = np.random.default_rng(n).normal(20, 5, n)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=50_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert bootstrap_interval(values.tolist()) == pytest.approx((theirs.low, theirs.high), abs=0.15)


def test_many_numbers_are_drawn_from_the_same_way_every_time() -> None:
    values = [float(value) for value in range(statistics.EXACT_UP_TO + 1)]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    low, high = bootstrap_interval(values)
    assert min(values) < low < 4 < high < max(values)


@given(st.lists(SCORES, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_does_not_count(values: list[float], shuffler: object) -> None:
    shuffled = list(values)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert summarise(shuffled) == summarise(values)


@given(st.lists(SCORES, min_size=2, max_size=6))
def test_mean_and_deviation_are_the_library_s_and_the_interval_holds_the_mean(values: list[float]) -> None:
    found = summarise(values)
    assert found.mean == pytest.approx(stdlib.fmean(values), abs=1e-9)
    assert found.std == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-9)
    assert min(values) - 1e-9 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= max(values) + 1e-9


@given(st.lists(SCORES, min_size=2, max_size=6))
def test_the_interval_of_the_negated_is_the_negated(values: list[float]) -> None:
    low, high = bootstrap_interval(values)
    assert bootstrap_interval([-value for value in values]) == (-high, -low)


def test_one_seed_has_no_interval() -> None:
    found = summarise([12.5])
    assert (found.n, found.mean) == (1, 12.5)
    assert all(map(math.isnan, (found.std, found.low, found.high)))
    assert not found.excludes_zero
    nothing = summarise([])
    assert nothing.n == 0
    assert math.isnan(nothing.mean)


@pytest.mark.parametrize(("bad", "mean"), [(math.inf, math.inf), (-math.inf, -math.inf), (math.nan, math.nan)])
def test_a_score_that_is_no_number_is_neither_dropped_nor_given_an_interval(bad: float, mean: float) -> None:
    found = summarise([1.0, bad, 3.0])
    assert found.n == 3
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert all(map(math.isnan, (found.std, found.low, found.high)))


def test_differences_are_taken_on_common_seeds() -> None:
    found = paired_differences({0: 10.0, 1: 11.0, 2: 12.0, 7: 99.0}, {2: 20.0, 1: 16.0, 0: 14.0, 5: -99.0})
    assert (found.n, found.mean) == (3, pytest.approx((-4 - 5 - 8) / 3))
    assert (found.low, found.high) == (-8.0, -4.0)
    assert is_marked(found)
    assert paired_differences({0: 1.0}, {1: 1.0}).n == 0


@pytest.mark.parametrize(
    ("differences", "marked"),
    [
        ([1.0, 2.0, 3.0], True),
        ([-1.0, -2.0, -3.0], True),
        ([-0.1, 2.0, 3.0], False),
        ([0.0, 2.0, 3.0], False),
        ([0.0, 0.0, 0.0], False),
        ([1.0, 2.0], False),
        ([1.0], False),
        ([], False),
        ([1.0, math.inf, 2.0], False),
    ],
)
def test_a_mark_needs_an_interval_without_zero(differences: list[float], marked: bool) -> None:
    assert is_marked(summarise(differences)) is marked


@pytest.mark.parametrize("n", [2, 3])
def test_the_chance_of_a_false_mark_is_counted_over_all_signs(n: int) -> None:
    sizes = [1.0, 2.5, 3.0][:n]
    signs = list(itertools.product((-1, 1), repeat=n))
    excluding = [summarise([s * size for s, size in zip(one, sizes, strict=True)]).excludes_zero for one in signs]
    assert sum(excluding) / len(signs) == chance_of_excluding_zero(n)
    assert chance_of_excluding_zero(4) is None


def test_rank_agreement_by_hand() -> None:
    # (2, 3) is the one pair of six in another order: (5 - 1) / 6.
    assert rank_agreement([1, 2, 3, 4], [10, 30, 20, 40]) == (pytest.approx(4 / 6), 4)
    assert rank_agreement([1, 2, 3], [30, 20, 10]) == (-1.0, 3)
    # One tie in ours: (5 - 0) / sqrt(5 * 6).
    assert rank_agreement([1, 1, 3, 4], [10, 20, 30, 40]) == (pytest.approx(5 / math.sqrt(30)), 4)


def test_rows_without_a_number_on_either_side_do_not_count() -> None:
    assert rank_agreement([1, math.nan, 2, math.inf, 3], [1, 2, 5, 4, math.nan]) == (1.0, 2)
    for ours, theirs, rows in (([1.0], [2.0], 1), ([], [], 0), ([1.0, 1.0], [1.0, 2.0], 2)):
        tau, over = rank_agreement(ours, theirs)
        assert math.isnan(tau)
        assert over == rows


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=8))
def test_rank_agreement_is_the_count_of_pairs(rows: list[tuple[int, int]]) -> None:
    """Kendall's tau-b from its definition."""
    pairs = list(itertools.combinations(rows, 2))
    signs = [np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in pairs]
    untied = [sum(a[side] != b[side] for a, b in pairs) for side in (0, 1)]
    tau, over = rank_agreement(*zip(*rows, strict=True))
    assert over == len(rows)
    if 0 in untied:
        assert math.isnan(tau)
    else:
        assert tau == pytest.approx(sum(signs) / math.sqrt(untied[0] * untied[1]), abs=1e-12)


def test_an_interval_without_zero() -> None:
    assert Summary(3, 0.0, 0.0, 0.1, 0.2).excludes_zero
    assert Summary(3, 0.0, 0.0, -0.2, -0.1).excludes_zero
    assert not Summary(3, 0.0, 0.0, -0.1, 0.1).excludes_zero
