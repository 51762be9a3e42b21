"""Stored runs -> one pandas frame: a row per cell, seeds as n, mean and standard deviation.

Rows compare only within a group: one evaluation protocol and one budget. Nothing is ranked across groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ganbench.rendering import Document, count_words, si, spread
from ganbench.spec import RunSpec, flatten
from ganbench.store import StoredRun, StoredRuns

LOWER_IS_BETTER = ("fcd", "clean_fcd", "fid", "clean_fid", "kcd", "kid", "intra_fcd", "intra_fid")
HIGHER_IS_BETTER = ("classifier_score", "inception_score", "precision", "recall", "density", "coverage")
DEFAULT_METRICS = (*LOWER_IS_BETTER, *HIGHER_IS_BETTER)
COUNTERS = ("g_steps", "d_steps", "real_images", "fake_images", "flops", "train_seconds")
_IDENTITY_KEYS = ("seed", "algo_version", "model")


def results_frame(stored: StoredRuns, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per cell.

    Index: ``group`` (1, 2, ...: rows that may be compared), ``rank`` (by the group's primary score, the
    Frechet distance of the final generator; missing where nothing finished), ``model``, ``variant`` (what
    differs from the model's other rows). Columns, two levels: for each metric ``mean``, ``std`` (over
    seeds; missing for one), ``best`` (mean over seeds of the best checkpoint) and ``floor`` (held-out real
    images); ``runs``: ``n``, ``finished``, ``diverged``, ``failed``, ``unfinished``; ``parameters``:
    ``generator``, ``discriminator``; ``counters``: means of what was spent. ``frame.attrs['groups']`` says
    in a line each what a group has in common, and ``frame.attrs['notes']`` what a reader must know.
    """
    cells: dict[str, list[StoredRun]] = {}
    for run in stored.runs:
        cells.setdefault(run.spec.cell_id, []).append(run)
    variants = _variants([runs[0].spec for runs in cells.values()])
    keys = {cell: _comparable(runs) for cell, runs in cells.items()}
    groups = {key: number for number, key in enumerate(sorted(set(keys.values())), start=1)}
    wanted = _metrics_present(stored.runs, metrics)
    rows = [
        {
            ("", "group"): groups[keys[cell]],
            ("", "model"): runs[0].spec.model,
            ("", "variant"): variants[cell],
            **_row(runs, wanted),
        }
        for cell, runs in cells.items()
    ]
    frame = _ranked(pd.DataFrame(rows)) if rows else pd.DataFrame(columns=pd.MultiIndex.from_tuples([("runs", "n")]))
    frame.attrs["groups"] = _describe_groups(groups, cells, keys)
    frame.attrs["notes"] = _notes(stored)
    return frame


def _comparable(runs: Sequence[StoredRun]) -> tuple[str, str]:
    """Protocol and budget; runs without a result are grouped by what their spec would lead to."""
    protocols = {r.result["protocol_id"] for r in runs if r.result}
    return (min(protocols) if protocols else "none yet", str(runs[0].spec.budget))


def _metrics_present(runs: Iterable[StoredRun], asked: Sequence[str] | None) -> list[str]:
    present = {name for run in runs for name in run.result.get("scores", {}).get("best", {})}
    return [name for name in asked or DEFAULT_METRICS if name in present]


def _number(value: Any) -> float:
    """A stored score: JSON keeps non-finite numbers as strings."""
    return math.nan if value is None else float(value)


def _row(runs: Sequence[StoredRun], metrics: Sequence[str]) -> dict[tuple[str, str], Any]:
    finished = [r.result for r in runs if r.status == "finished"]
    with_result = [r.result for r in runs if r.result]
    row: dict[tuple[str, str], Any] = {}
    for metric in metrics:
        final = pd.Series([_number(r["scores"]["final"].get(metric)) for r in finished], dtype=float)
        best = pd.Series([_number(r["scores"]["best"].get(metric)) for r in with_result], dtype=float)
        floor = [_number((r["scores"]["floor"] or {}).get(metric)) for r in with_result]
        row[metric, "mean"] = final.mean(skipna=False) if finished else math.nan
        row[metric, "std"] = final.std(skipna=False) if len(finished) > 1 else math.nan
        row[metric, "best"] = best.mean(skipna=False) if with_result else math.nan
        row[metric, "floor"] = floor[0] if floor else math.nan
    row["runs", "n"] = len(runs)
    for status in ("finished", "diverged", "failed", "unfinished"):
        row["runs", status] = sum(r.status == status for r in runs)
    for network in ("generator", "discriminator"):
        row["parameters", network] = with_result[0]["parameters"][network] if with_result else math.nan
    for counter in COUNTERS:
        spent = [r["counters"][counter] for r in finished]
        row["counters", counter] = sum(spent) / len(spent) if spent else math.nan
    return row


def _ranked(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank within each group by the Frechet distance; rows without a finite one have no rank and come last."""
    frame.columns = pd.MultiIndex.from_tuples([tuple(column) for column in frame.columns])
    primary = next((m for m in ("fid", "fcd") if (m, "mean") in frame.columns), None)
    score = frame[primary, "mean"] if primary else pd.Series(math.nan, index=frame.index)
    score = score.where(score.map(math.isfinite))
    order = pd.DataFrame({key: frame["", key] for key in ("group", "model", "variant")}).assign(score=score)
    index = order.assign(rank=order.groupby("group")["score"].rank(method="min").astype("Int64"))
    rows = order.sort_values(["group", "score", "model", "variant"], kind="stable").index
    frame = frame.drop(columns=[("", key) for key in ("group", "model", "variant")])
    frame.index = pd.MultiIndex.from_frame(index[["group", "rank", "model", "variant"]])
    return frame.iloc[rows]


def _variants(specs: Sequence[RunSpec]) -> dict[str, str]:
    """By cell: the keys in which a model's cells differ, with this cell's values."""
    flat = {spec.cell_id: flatten(spec.model_dump(mode="json")) for spec in specs}
    named: dict[str, str] = {}
    for spec in specs:
        mine = flat[spec.cell_id]
        siblings = [flat[s.cell_id] for s in specs if s.model == spec.model]
        absent = object()
        keys = [
            k
            for k in mine
            if k not in _IDENTITY_KEYS
            and not k.endswith((".provider", ".fingerprint"))
            and any(s.get(k, absent) != mine[k] for s in siblings)
        ]
        named[spec.cell_id] = " ".join(f"{k.removesuffix('.name')}={_short(mine[k])}" for k in keys)
    return named


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _describe_groups(
    groups: dict[tuple[str, str], int], cells: dict[str, list[StoredRun]], keys: dict[str, tuple[str, str]]
) -> list[str]:
    """A line per group, with what sets it apart from the first."""
    lines: list[str] = []
    first: dict[str, Any] = {}
    for key, number in groups.items():
        runs = [r for cell, of_cell in cells.items() if keys[cell] == key for r in of_cell]
        protocol: dict[str, Any] = next((r.result["protocol"] for r in runs if r.result), {})
        settings = {"budget": key[1], **flatten(protocol)}
        spec = runs[0].spec
        line = f"group {number}: {spec.dataset.name} {spec.resolution} px, budget {key[1]}, protocol {key[0][:12]}"
        if number == 1:
            first = settings
        else:
            differing = [k for k in {**first, **settings} if first.get(k) != settings.get(k)]
            reasons = ", ".join(f"{k}: {settings.get(k)} against {first.get(k)}" for k in differing)
            line += f"; not ranked with group 1, since they differ in {reasons}"
        lines.append(line)
    return lines


def _notes(stored: StoredRuns) -> list[str]:
    notes = [f"not a run, left out: {reason}" for reason in stored.foreign]
    if any(not r.result.get("protocol", {}).get("extractor", {}).get("inception", True) for r in stored.runs):
        notes.insert(0, "fcd, kcd and classifier_score are not FID, KID and IS: another network judged the images")
    return notes


def short_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it is printed: one column per metric as ``mean +- std``, the counts in words."""
    shown = pd.DataFrame(index=frame.index)
    metrics = [m for m in DEFAULT_METRICS if (m, "mean") in frame.columns]
    for metric in metrics:
        pairs = zip(frame[metric, "mean"], frame[metric, "std"], strict=True)
        shown[f"{metric} {arrow(metric)}"] = [spread(mean, std) for mean, std in pairs]
    if metrics:
        shown[f"best {metrics[0]}"] = [f"{v:.4g}" for v in frame[metrics[0], "best"]]
        shown[f"floor {metrics[0]}"] = [f"{v:.4g}" for v in frame[metrics[0], "floor"]]
    if not frame.empty:
        shown["n"] = [count_words(row) for _, row in frame["runs"].iterrows()]
        shown["params G"] = [si(v) for v in frame["parameters", "generator"]]
        shown["params D"] = [si(v) for v in frame["parameters", "discriminator"]]
        shown["kimg"] = [f"{v / 1e3:.4g}" for v in frame["counters", "real_images"]]
        shown["G steps"] = [f"{v:.0f}" for v in frame["counters", "g_steps"]]
        shown["FLOPs"] = [si(v) for v in frame["counters", "flops"]]
        shown["train s"] = [f"{v:.0f}" for v in frame["counters", "train_seconds"]]
    return shown


def arrow(metric: str) -> str:
    """Which way a metric is better."""
    return "↓" if metric in LOWER_IS_BETTER else "↑"


def results_document(frame: pd.DataFrame) -> Document:
    """What is printed of :func:`results_frame`."""
    shown = short_frame(frame).reset_index()
    if not frame.empty:
        shown["rank"] = ["" if pd.isna(rank) else str(rank) for rank in shown["rank"]]
    return Document(
        title="All results",
        lines=frame.attrs["groups"],
        tables=[shown],
        notes=frame.attrs["notes"],
        frame=frame,
        if_empty="no runs yet: 'ganbench run --model sagan' makes one",
        about={"groups": frame.attrs["groups"]},
    )
