"""Scores over training: read from records as runs leave them, cut without interpolation."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import PER_STEP, STEPS, Synthetic

from ganbench.budget import Counters
from ganbench.curves import Limit, Point, cut, least_total, parse_match, read_curve
from ganbench.errors import UsageError

CURVE = [200.0, 50.0, 30.0, 40.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run with four evaluations, at steps 0, 250, 500 and 750."""
    return Synthetic(tmp_path_factory.mktemp("curves"), "sagan-table1").run("none", 0, 40.0, curve=CURVE, seconds=75.0)


def test_an_evaluation_has_its_scores_and_all_that_was_spent(folder: Path) -> None:
    curve = read_curve(folder)
    assert [point.step for point in curve] == [0, 250, 500, 750]
    assert [point.scores["fcd"] for point in curve] == CURVE
    assert curve[1].scores == {"fcd": 50.0, "classifier_score": 2.0}
    assert {point.n for point in curve} == {900}
    assert curve[3].spent == Counters(
        g_steps=STEPS,
        d_steps=STEPS,
        real_images=12_000,
        fake_images=24_000,
        flops=PER_STEP["flops"] * STEPS,
        train_seconds=75.0,
    )


def test_no_records_are_no_curve(tmp_path: Path) -> None:
    assert read_curve(tmp_path) == []


def test_a_torn_last_line_is_left_out(folder: Path, tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "timing.jsonl"):
        content = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-9])
    assert [point.step for point in read_curve(tmp_path)] == [0, 250, 500]


def test_a_time_that_was_not_recorded_is_beyond_every_limit(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes((folder / "metrics.jsonl").read_bytes())
    curve = read_curve(tmp_path)
    assert all(math.isnan(point.spent.train_seconds) for point in curve)
    assert cut(curve, Limit("train_seconds", 1e9)) is None
    assert cut(curve, Limit("flops", math.inf)) == curve[-1]


def test_scores_that_are_no_numbers_are_read(tmp_path: Path) -> None:
    path = Synthetic(tmp_path, "sagan-table1").run("none", 0, 1.0, curve=[math.inf, math.nan])
    first, second = (point.scores["fcd"] for point in read_curve(path))
    assert first == math.inf
    assert math.isnan(second)


@pytest.mark.parametrize(
    ("limit", "step"),
    [
        (Limit("real_images", 12_000), 750),
        (Limit("real_images", 11_999), 500),
        (Limit("train_seconds", 25.0), 250),
        (Limit("train_seconds", 74.9), 500),
        (Limit("flops", PER_STEP["flops"] * 500), 500),
        (Limit("g_steps", 0), 0),
    ],
)
def test_cut_at_the_last_evaluation_within_the_limit(limit: Limit, step: int, folder: Path) -> None:
    point = cut(read_curve(folder), limit)
    assert point is not None
    assert point.step == step


def test_nothing_lies_below_a_limit_under_the_first() -> None:
    curve = [Point(10, Counters(g_steps=10), 900, {"fcd": 1.0})]
    assert cut(curve, Limit("g_steps", 9)) is None
    assert cut([], Limit("g_steps", 9)) is None


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20, unique=True), st.integers(0, 1000))
def test_a_cut_is_one_of_the_evaluations_and_the_latest_allowed(steps: list[int], limit: int) -> None:
    curve = [Point(step, Counters(g_steps=step), 900, {"fcd": float(step)}) for step in sorted(steps)]
    point = cut(curve, Limit("g_steps", limit))
    allowed = [step for step in steps if step <= limit]
    assert (point.step if point else None) == max(allowed, default=None)


def test_what_may_be_matched() -> None:
    assert [parse_match(word) for word in ("seconds", "flops", "images")] == ["train_seconds", "flops", "real_images"]
    assert parse_match("64kimg") == Limit("real_images", 64_000)
    assert parse_match("10min") == Limit("train_seconds", 600)
    for wrong in ("second", "10", "-5min", ""):
        with pytest.raises(UsageError, match="--match takes seconds, flops, images or an amount"):
            parse_match(wrong)


def test_the_limit_is_what_every_run_has_reached() -> None:
    assert least_total("flops", [{"flops": 30}, {"flops": 10}, {"flops": 20}]) == Limit("flops", 10)
    with pytest.raises(UsageError, match="a run that has finished"):
        least_total("flops", [])


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Limit("train_seconds", 600.04), "600.0 training seconds"),
        (Limit("real_images", 64_000), "64,000 real images"),
        (Limit("flops", 7.5e12), "7.5e+12 FLOPs"),
    ],
)
def test_a_limit_is_told(limit: Limit, text: str) -> None:
    assert str(limit) == text
