"""A suite's runs -> one pandas frame: the rows in the paper's order, ours beside the published number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ganbench.attempts import Attempt, read_attempts, wasted_seconds
from ganbench.paper_numbers import source
from ganbench.statistics import Summary, is_marked, paired_differences, rank_agreement, summarise
from ganbench.store import StoredRun
from ganbench.suite_runs import RowRuns
from ganbench.suite_table import SuiteTable, score_in
from ganbench.tables import COUNTERS, LOWER_IS_BETTER


def suite_frame(table: SuiteTable) -> pd.DataFrame:
    """One row per row of the suite, in its order. Index: ``group``, ``row`` (its name), ``label``.

    Columns, two levels. For each metric:

    - ``mean``, ``std``, ``n``, ``low``, ``high``: over the finished seeds, of the final generator, of the best
      checkpoint (``table.scores``) or at the limit; low and high are the 95 % bootstrap interval of the mean;
      ``rank``: by the mean, 1 the best, missing for a mean that is no finite number;
    - ``final``, ``best``: the mean of either over the finished seeds;
    - ``floor``: held-out real images;
    - ``published``, ``published_kind``, ``published_source``: the paper's number; ``published_rank``: by it, among
      the rows that have a rank of ours too, missing where the paper's numbers are of different steps;
    - ``difference``, ``difference_n``, ``difference_low``, ``difference_high``: less the reference row, on common
      seeds; ``marked``: whether that interval excludes 0, as :func:`ganbench.statistics.is_marked` has it.

    ``runs``: ``n``, ``finished``, ``diverged``, ``failed``, ``unfinished``, ``attempts`` (how often they were
    started, 0 where that is not recorded); ``parameters``: ``generator``, ``discriminator``; ``counters``: means of
    what the finished runs had spent, ``peak_memory_bytes`` the greatest, ``wasted_seconds`` the sum over all runs of
    what their attempts took beyond what was kept, missing where that is not recorded; ``row``: ``absent``, why there
    is nothing to show. ``frame.attrs['agreement']`` has for each metric Kendall's ``tau`` with the paper's order, the
    ``rows`` that it is over and, where it is NaN, the ``reason``.
    """
    rows = [_row(table, row) for row in table.rows]
    frame = pd.DataFrame([list(row.values()) for row in rows], columns=pd.MultiIndex.from_tuples(list(rows[0])))
    declared = [row.planned.row for row in table.rows]
    frame.index = pd.MultiIndex.from_tuples(
        [(row.group, row.name, row.label) for row in declared], names=["group", "row", "label"]
    )
    agreement = {}
    for metric in table.metrics:
        there = frame[metric, "mean"].map(math.isfinite)
        alike = _of_one_step(table, metric)
        theirs = frame[metric, "published"].where(there & alike)
        for what, numbers in (("rank", frame[metric, "mean"].where(there)), ("published_rank", theirs)):
            ranks = numbers.rank(method="min", ascending=metric in LOWER_IS_BETTER)
            frame[metric, what] = ranks.astype("Int64")
        tau, over = rank_agreement(frame[metric, "mean"].tolist(), theirs.tolist())
        agreement[metric] = {"tau": tau, "rows": over, "reason": _why_untold(tau, over, alike)}
    order = {group: place for place, group in enumerate((*table.metrics, "runs", "parameters", "counters", "row"))}
    places = [order[group] for group in frame.columns.get_level_values(0)]
    frame = frame.iloc[:, sorted(range(len(places)), key=places.__getitem__)]
    frame.attrs["agreement"] = agreement
    return frame


def _of_one_step(table: SuiteTable, metric: str) -> bool:
    """Whether the published numbers beside rows that have finished can be put in one order."""
    numbers = [table.published(row, metric) for row in table.rows if row.finished]
    return len({number.step for number in numbers if number is not None}) <= 1


def _why_untold(tau: float, rows: int, alike: bool) -> str:
    if not math.isnan(tau):
        return ""
    if not alike:
        return "the published numbers are of different steps"
    return "fewer than 2 rows have both" if rows < 2 else "all rows have one number"


def _row(table: SuiteTable, row: RowRuns) -> dict[tuple[str, str], Any]:
    cells: dict[tuple[str, str], Any] = {}
    for metric in table.metrics:
        cells |= {(metric, key): value for key, value in _metric_cells(table, row, metric).items()}
    cells["runs", "n"] = len(row.runs)
    for status in ("finished", "diverged", "failed", "unfinished"):
        cells["runs", status] = sum(run.status == status for run in row.runs)
    attempts = [read_attempts(run.folder) for run in row.runs]
    cells["runs", "attempts"] = sum(map(len, attempts))
    for network in ("generator", "discriminator"):
        cells["parameters", network] = row.with_result[0].result["parameters"][network] if row.with_result else math.nan
    spent = [table.spent(run) for run in row.finished]
    for counter in COUNTERS:
        cells["counters", counter] = summarise([float(each[counter]) for each in spent if each]).mean
    peaks = [run.result["cost"]["peak_memory_bytes"] for run in row.finished]
    cells["counters", "peak_memory_bytes"] = max(peaks, default=math.nan)
    cells["counters", "wasted_seconds"] = _wasted(attempts)
    cells["row", "absent"] = row.reason
    return cells


def _wasted(attempts: Sequence[Sequence[Attempt]]) -> float:
    """Over all runs of a row, by run; NaN where it is not recorded of some."""
    wasted = [wasted_seconds(each) if each else None for each in attempts]
    return sum((math.nan if each is None else each for each in wasted), 0.0) if wasted else math.nan


def _metric_cells(table: SuiteTable, row: RowRuns, metric: str) -> dict[str, Any]:
    values = table.values(row, metric)
    shown = summarise(list(values.values()))
    reference = next(each for each in table.rows if each.planned.row.name == table.suite.reference)
    against = (
        Summary(0, *[math.nan] * 4) if row is reference else paired_differences(values, table.values(reference, metric))
    )
    number = table.published(row, metric)
    return {
        "mean": shown.mean,
        "std": shown.std,
        "n": shown.n,
        "low": shown.low,
        "high": shown.high,
        "final": _mean_of(row.finished, "final", metric),
        "best": _mean_of(row.finished, "best", metric),
        "floor": next(
            (v for run in row.with_result if (v := score_in(run.result["scores"]["floor"], metric)) is not None),
            math.nan,
        ),
        "published": math.nan if number is None else number.value,
        "published_kind": "" if number is None else number.kind,
        "published_source": "" if number is None else source(number),
        "difference": against.mean,
        "difference_n": against.n,
        "difference_low": against.low,
        "difference_high": against.high,
        "marked": is_marked(against),
    }


def _mean_of(runs: Sequence[StoredRun], which: str, metric: str) -> float:
    values = [score_in(run.result["scores"][which], metric) for run in runs]
    return summarise([value for value in values if value is not None]).mean
