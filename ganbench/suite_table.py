"""A suite with its stored runs, and which of their scores a table is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ganbench.curves import Limit, Point, cut, least_total, parse_match, read_curve
from ganbench.drafts import Draft
from ganbench.errors import UsageError, unknown
from ganbench.paper_numbers import ORIGINALS, STAND_INS, headline_number, published_numbers
from ganbench.papers import Paper, Published, load_paper
from ganbench.planning import plan
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.store import StoredRun, load_runs
from ganbench.suite_runs import RowRuns, find_runs
from ganbench.suites import Suite, load_suite
from ganbench.tables import DEFAULT_METRICS

Scores = Literal["final", "best"]


@dataclass(frozen=True)
class SuiteTable:
    """A suite with its runs, and what is asked of them."""

    suite: Suite
    profile: str
    paper: Paper | None
    rows: tuple[RowRuns, ...]
    """In the suite's order; those that this profile lacks or that have no runs among them."""
    inception: bool
    """Whether the judge is Inception."""
    metrics: tuple[str, ...]
    """By the names that the judge's scores have."""
    scores: Scores
    """Whose scores means and differences are of: the final generator's or the best checkpoint's."""
    limit: Limit | None
    """Where the runs are cut; None: their scores are those of the whole budget."""
    foreign: tuple[str, ...]
    """What lay in the results folder and is no run of this version."""
    points: Mapping[str, Point | None] = field(default_factory=dict)
    """By run_id: the evaluation at which a finished run is cut; empty without a limit."""

    @property
    def runs(self) -> list[StoredRun]:
        """Of all rows."""
        return [run for row in self.rows for run in row.runs]

    def values(self, row: RowRuns, metric: str) -> dict[int, float]:
        """The scores behind a row's mean, by seed: of finished runs only."""
        found = {run.spec.seed: self._score(run, metric) for run in row.finished}
        return {seed: value for seed, value in found.items() if value is not None}

    def _score(self, run: StoredRun, metric: str) -> float | None:
        if self.limit is None:
            return score_in(run.result["scores"][self.scores], metric)
        point = self.points[run.spec.run_id]
        return None if point is None else point.scores.get(metric)

    def published(self, row: RowRuns, metric: str) -> Published | None:
        """The number that stands beside a row's mean."""
        if self.paper is None:
            return None
        return headline_number(published_numbers(self.paper, self.suite, row.planned.row, metric))

    def spent(self, run: StoredRun) -> Mapping[str, Any]:
        """A finished run's counters, at the limit where there is one."""
        if self.limit is None:
            counters: Mapping[str, Any] = run.result["counters"]
            return counters
        point = self.points[run.spec.run_id]
        return {} if point is None else vars(point.spent)


def load_table(
    name: str,
    results: Path,
    profile: str = "quick",
    *,
    metrics: Sequence[str] = (),
    scores: Scores = "final",
    match: str | None = None,
    overrides: Sequence[Draft] = (),
    plugins: Sequence[Path] = (),
    roots: Sequence[Path] = (),
) -> SuiteTable:
    """Find the runs of a suite in a results folder.

    ``overrides`` are those that the sweep was given, ``match`` is as :func:`ganbench.curves.parse_match` takes
    it. Raises UsageError for unknown names, StoreError for a folder that does not exist or runs that cannot stand
    in one table.
    """
    if match is not None and scores == "best":
        raise UsageError("--match cuts training, and the best checkpoint is of all of it: leave one of them out")
    book = RecipeBook(roots)
    suite = load_suite(book, name)
    planned = plan(suite, profile, Registry.discover(plugins), book, [0], overrides)
    stored = load_runs(results)
    rows = tuple(find_runs(suite, planned, stored.runs, overrides))
    inception = _judged_by_inception(rows)
    limit = _limit(match, rows)
    points = (
        {} if limit is None else {r.spec.run_id: cut(read_curve(r.folder), limit) for x in rows for r in x.finished}
    )
    return SuiteTable(
        suite,
        profile,
        load_paper(book, suite.paper) if suite.paper else None,
        rows,
        inception,
        tuple(dict.fromkeys(_metric(metric, inception) for metric in metrics or suite.metrics)),
        scores,
        limit,
        tuple(stored.foreign),
        points,
    )


def _judged_by_inception(rows: Sequence[RowRuns]) -> bool:
    """By the first result; where there is none, by the extractor's card; True for one that is not at hand."""
    for row in rows:
        for run in row.with_result:
            return bool(run.result["protocol"]["extractor"]["inception"])
    for row in rows:
        resolved = row.planned.resolved
        if resolved is not None and "evaluation.extractor" in resolved.entries:
            return bool(resolved.entries["evaluation.extractor"].load().card.inception)
    return True


def _metric(name: str, inception: bool) -> str:
    """The judge's name for a score that may be given by either name."""
    if name not in DEFAULT_METRICS:
        raise UsageError(unknown("metric", name, DEFAULT_METRICS))
    return ORIGINALS.get(name, name) if inception else STAND_INS.get(name, name)


def _limit(match: str | None, rows: Sequence[RowRuns]) -> Limit | None:
    if match is None:
        return None
    asked = parse_match(match)
    if isinstance(asked, Limit):
        return asked
    return least_total(asked, [run.result["counters"] for row in rows for run in row.finished])


def score_in(scores: Mapping[str, Any] | None, metric: str) -> float | None:
    """A stored score, a non-finite one too; None where there is none."""
    value = (scores or {}).get(metric)
    return None if value is None else float(value)
