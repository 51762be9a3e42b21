"""What is printed of a suite's table: its scores in the paper's layout, what they cost, and what to know of both."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ganbench.paper_numbers import ORIGINALS, SHORT
from ganbench.rendering import Document, count_words, rounded, si, spread
from ganbench.suite_frame import suite_frame
from ganbench.suite_notes import facts, notes
from ganbench.suite_table import SuiteTable
from ganbench.tables import arrow


def suite_document(table: SuiteTable) -> Document:
    """The document of a suite's table; see :func:`ganbench.suite_frame.suite_frame` for its frame."""
    frame = suite_frame(table)
    scores = pd.concat([_metric_columns(table, frame, metric) for metric in table.metrics], axis=1)
    scores["n"] = [count_words(row) for _, row in frame["runs"].iterrows()]
    shown = _transposed(scores) if table.suite.layout.transposed else _with_labels(scores)
    line = facts(table, frame)
    return Document(
        title=table.suite.title,
        lines=[table.suite.title, line],
        tables=[shown, _with_labels(_costs(frame))],
        notes=notes(table, frame),
        frame=frame,
        if_empty="",
        about={
            "suite": table.suite.name,
            "profile": table.profile,
            "scores": table.scores if table.limit is None else f"at {table.limit}",
            "facts": line,
            "agreement": frame.attrs["agreement"],
        },
    )


def _metric_columns(table: SuiteTable, frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One metric's part of the short form."""
    numbers = pd.DataFrame(frame[metric])
    prefix = "best " if table.limit is None and table.scores == "best" else ""
    shown = pd.DataFrame(index=frame.index)
    shown[f"{prefix}{metric} {arrow(metric)}"] = [_ours(table, row, metric) for _, row in frame.iterrows()]
    shown[f"{prefix}{metric} 95 %"] = [_interval(row) for _, row in numbers.iterrows()]
    if table.limit is None:
        other = "final" if table.scores == "best" else "best"
        shown[f"{other} {metric}"] = [_number(value) for value in numbers[other]]
    if numbers["published"].notna().any():
        where, cells = _published(numbers)
        shown[f"{where} {SHORT[ORIGINALS.get(metric, metric)]}"] = cells
        shown[f"rank by {metric} (published)"] = [_ranks(row) for _, row in numbers.iterrows()]
    if (numbers["difference_n"] > 0).any():
        shown[f"{metric} - {table.suite.reference}"] = [_difference(row) for _, row in numbers.iterrows()]
    return shown


def _ours(table: SuiteTable, row: pd.Series[Any], metric: str) -> str:
    """The mean, or in a word why there is none."""
    if row[metric, "n"]:
        return spread(row[metric, "mean"], row[metric, "std"])
    runs = row["runs"]
    if not runs["n"]:
        return "not run" if row["row", "absent"] == "not run yet" else "absent"
    if runs["finished"]:
        return "no scores"
    return "diverged" if runs["diverged"] == runs["n"] else "unfinished"


def _interval(row: pd.Series[Any]) -> str:
    if row["n"] == 1:
        return "n = 1"
    return "-" if pd.isna(row["low"]) else f"[{rounded(row['low'], 4)}, {rounded(row['high'], 4)}]"


def _number(value: float) -> str:
    return "-" if pd.isna(value) else rounded(value, 4)


def _published(numbers: pd.DataFrame) -> tuple[str, list[str]]:
    """What the published numbers are called together, and each: with its place where they have none in common."""
    there = numbers[numbers["published"].notna()]
    places = {(row["published_source"], row["published_kind"]) for _, row in there.iterrows()}
    common = len(places) == 1
    cells = ["-"] * len(numbers)
    for index, (_, row) in enumerate(numbers.iterrows()):
        if not pd.isna(row["published"]):
            where = "" if common else f" ({_place(row['published_source'], row['published_kind'])})"
            cells[index] = f"{row['published']:g}{where}"
    return (_place(*places.pop()) if common else "published"), cells


def _place(source: str, kind: str) -> str:
    return source if kind == "table" else f"{source}, {kind}"


def _ranks(row: pd.Series[Any]) -> str:
    if pd.isna(row["rank"]):
        return "-"
    return str(row["rank"]) + ("" if pd.isna(row["published_rank"]) else f" ({row['published_rank']})")


def _difference(row: pd.Series[Any]) -> str:
    if not row["difference_n"] or pd.isna(row["difference"]):
        return "-"
    interval = ""
    if not pd.isna(row["difference_low"]):
        interval = f" [{rounded(row['difference_low'], 3)}, {rounded(row['difference_high'], 3)}]"
    sign = "" if row["difference"] < 0 else "+"
    return f"{sign}{rounded(row['difference'], 3)}{interval}" + (" *" if row["marked"] else "")


def _costs(frame: pd.DataFrame) -> pd.DataFrame:
    counters, parameters = frame["counters"], frame["parameters"]
    return pd.DataFrame(
        {
            "params G": [_or_dash(si, value) for value in parameters["generator"]],
            "params D": [_or_dash(si, value) for value in parameters["discriminator"]],
            "real kimg": [_or_dash(lambda v: f"{v / 1e3:.4g}", value) for value in counters["real_images"]],
            "D steps": [_or_dash(lambda v: f"{v:.0f}", value) for value in counters["d_steps"]],
            "G steps": [_or_dash(lambda v: f"{v:.0f}", value) for value in counters["g_steps"]],
            "FLOPs": [_or_dash(si, value) for value in counters["flops"]],
            "train s": [_or_dash(lambda v: f"{v:.4g}", value) for value in counters["train_seconds"]],
            "peak MB": [_or_dash(lambda v: f"{v / 1e6:.0f}", value) for value in counters["peak_memory_bytes"]],
            "attempts": [str(value or "-") for value in frame["runs", "attempts"]],
        },
        index=frame.index,
    )


def _or_dash(write: Any, value: float) -> str:
    return "-" if pd.isna(value) else str(write(value))


def _with_labels(shown: pd.DataFrame) -> pd.DataFrame:
    """The rows' labels, with their groups before them, as the first column."""
    labelled = shown.reset_index(drop=True)
    labelled.insert(0, "row", [f"{group} {label}".strip() for group, _, label in shown.index])
    return labelled


def _transposed(shown: pd.DataFrame) -> pd.DataFrame:
    """Rows as columns under their groups, as the paper's table 1 is printed."""
    turned = shown.T
    turned.columns = pd.MultiIndex.from_tuples([(group, label) for group, _, label in shown.index])
    turned.insert(0, ("", ""), list(shown.columns))
    return turned.reset_index(drop=True)
