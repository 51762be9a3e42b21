"""What a reader must know of a suite's table: in a line above it, and in notes below."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from ganbench.paper_numbers import ORIGINALS, SHORT, differences_to_paper
from ganbench.spec import RunSpec
from ganbench.statistics import MARKED_FROM, chance_of_excluding_zero
from ganbench.suite_runs import RowRuns
from ganbench.suite_table import SuiteTable

MATCHED_WORDS = {
    "real_images": "real images shown to D",
    "g_steps": "updates of G",
    "train_seconds": "training seconds",
    "flops": "FLOPs",
}
_TRUSTED_FROM = 10
"""Seeds from which on the bootstrap's interval is left to speak for itself."""


def facts(table: SuiteTable, frame: pd.DataFrame) -> str:
    """One line: data set, resolution, budget, judge, seeds, floor, and whether the paper's numbers compare."""
    spec = _spec(table)
    if spec is None:
        return f"profile {table.profile} has no row of {table.suite.name}"
    samples = spec.evaluation.samples if table.limit is None else spec.evaluation.count_selecting
    said = [
        f"profile {table.profile}",
        f"{spec.dataset.name} {spec.resolution} px",
        f"budget {spec.budget} for every run ({MATCHED_WORDS[table.suite.matched]} are matched)",
        f"judged by {spec.evaluation.extractor.name} on {samples:,} samples",
        _seeds(table),
    ]
    metric = table.metrics[0]
    floors = frame[metric, "floor"].dropna()
    said.append(f"held-out real images get {metric} {floors.iloc[0]:.4g}" if len(floors) else "no held-out floor")
    return ", ".join(said) + _comparison(table, spec)


def _spec(table: SuiteTable) -> RunSpec | None:
    """That of any run; of any planned run where there is none."""
    planned = [row.planned.resolved.spec for row in table.rows if row.planned.resolved is not None]
    return next((spec for spec in [*(run.spec for run in table.runs), *planned]), None)


def _seeds(table: SuiteTable) -> str:
    counts = sorted({len(row.runs) for row in table.rows if row.runs})
    if not counts:
        return "not run yet"
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} seeds"
    return "1 seed" if counts == [1] else f"{counts[0]} seeds"


def _comparison(table: SuiteTable, spec: RunSpec) -> str:
    if table.paper is None:
        return "; nothing was published of these rows"
    reasons = differences_to_paper(table.paper, spec, table.inception)
    if reasons:
        return f"; the paper's numbers are on another scale, and only orders compare: {', '.join(reasons)}"
    return f"; the paper's numbers compare as far as its protocol is this one's: {table.paper.protocol}"


def notes(table: SuiteTable, frame: pd.DataFrame) -> list[str]:
    """What the table cannot say itself, the general before the particular."""
    return [
        *_on_scores(table),
        *_on_agreement(table, frame),
        *_on_intervals(table, frame),
        *_on_attempts(frame),
        *(note for row in table.rows for note in _on_row(table, row)),
        *(f"not a run of this version, left out: {reason}" for reason in table.foreign),
    ]


def _on_scores(table: SuiteTable) -> Iterator[str]:
    if not table.inception:
        yield "fcd, kcd and classifier_score are not FID, KID and IS: another network judged the images"
    if table.limit is not None:
        yield (
            f"cut at {table.limit}: each run's last scores at or below it, nothing interpolated, of the samples that "
            "choose the best checkpoint; the costs are those at that point"
        )
    elif table.scores == "best":
        yield "means, differences and ranks are of the best checkpoints: chosen on some samples, scored on others"
    else:
        yield "means, differences and ranks are of the final generators; best: the best checkpoint, on new samples"
    if table.paper is not None:
        yield f"published: {table.paper.title}, {table.paper.url}; {table.paper.protocol}"


def _on_agreement(table: SuiteTable, frame: pd.DataFrame) -> Iterator[str]:
    for metric, found in frame.attrs["agreement"].items():
        if not frame[metric, "published"].notna().any():
            continue
        theirs = SHORT[ORIGINALS.get(metric, metric)]
        if not math.isnan(found["tau"]):
            yield (
                f"order by {metric} against the published order by {theirs}: Kendall's tau {found['tau']:.2f} over "
                f"{found['rows']} rows (1: the same, -1: reversed)"
            )
        else:
            yield f"order by {metric} against the published order by {theirs}: not told, {found['reason']}"


def _on_intervals(table: SuiteTable, frame: pd.DataFrame) -> Iterator[str]:
    counts = sorted({int(n) for metric in table.metrics for n in frame[metric, "n"] if n})
    if 1 in counts:
        yield "n = 1: one seed has no deviation and no interval, and does not tell how another would end"
    several = [n for n in counts if n > 1]
    if several:
        few = "" if several[0] >= _TRUSTED_FROM else f"; of fewer than {_TRUSTED_FROM} seeds it is too narrow"
        yield f"95 %: percentile bootstrap of the mean over seeds{few}"
    paired = sorted({int(n) for metric in table.metrics for n in frame[metric, "difference_n"] if n})
    if not paired:
        return
    reference = f"- {table.suite.reference}: less the row '{table.suite.reference}' on common seeds, with the interval"
    if paired[-1] < MARKED_FROM:
        yield f"{reference}; nothing is marked below {MARKED_FROM} common seeds"
        return
    compared = sum(int((frame[metric, "difference_n"] >= MARKED_FROM).sum()) for metric in table.metrics)
    chances = [(n, chance) for n in paired if n >= MARKED_FROM and (chance := chance_of_excluding_zero(n))]
    by_chance = "".join(f"; of {n} seeds it does so in {share:.0%} of comparisons of equals" for n, share in chances)
    yield f"{reference}; *: the interval excludes 0{by_chance}; {compared} comparisons, not corrected for their number"


def _on_attempts(frame: pd.DataFrame) -> Iterator[str]:
    """Said where runs were started more than once."""
    runs = frame["runs"]
    attempts, n = int(runs["attempts"].sum()), int(runs["n"].sum())
    if attempts <= n:
        return
    wasted = frame["counters", "wasted_seconds"][runs["n"] > 0]
    lost = "an unknown time was" if wasted.isna().any() else f"{wasted.sum():.0f} s were"
    yield f"{n} runs took {attempts} attempts, of which {lost} spent on what was not kept: in no cost above"


def _on_row(table: SuiteTable, row: RowRuns) -> Iterator[str]:
    declared = row.planned.row
    name = f"{declared.group} {declared.label}".strip()
    if row.reason:
        yield f"{name}: {row.reason}"
        return
    n, status = len(row.runs), [run.status for run in row.runs]
    for word, told in (("diverged", "diverged"), ("failed", "failed"), ("unfinished", "have not finished")):
        if count := status.count(word):
            yield f"{name}: {count} of {n} seeds {told}: counted in n, in no mean"
    for metric in table.metrics:
        values = list(table.values(row, metric).values())
        if odd := sum(not math.isfinite(value) for value in values):
            yield f"{name}: {metric} of {odd} of {len(values)} seeds is no finite number: shown as such, without a rank"
        if table.limit is not None and len(values) < len(row.finished):
            yield f"{name}: {len(row.finished) - len(values)} of {len(row.finished)} runs have no {metric} at the limit"
