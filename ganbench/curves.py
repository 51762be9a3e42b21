"""Scores over training, read from a run's records, and cut at equal cost.

``metrics.jsonl`` has the scores of each evaluation with the counters of that step, ``timing.jsonl`` the training
seconds of the same step. Every score is of selection samples: those that choose the best checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ganbench.budget import Amount, CounterName, Counters
from ganbench.errors import UsageError
from ganbench.evaluate.names import unlabelled
from ganbench.store import read_rows

MATCHES: dict[str, CounterName] = {"seconds": "train_seconds", "flops": "flops", "images": "real_images"}
"""What a table can be cut at besides its budget: the word on the command line and the counter that it names."""


@dataclass(frozen=True)
class Point:
    """One evaluation during training."""

    step: int
    spent: Counters
    """All that the run had spent by then; ``train_seconds`` is NaN where the time was not recorded."""
    n: int
    """Generated images behind the scores."""
    scores: dict[str, float]
    """By the names of a result: without the label of their n."""


@dataclass(frozen=True)
class Limit:
    """The cost at which curves are cut: so much of one counter."""

    counter: CounterName
    amount: float

    def __str__(self) -> str:
        words, form = _LIMIT_FORMS[self.counter]
        return f"{self.amount:{form}} {words}"


_LIMIT_FORMS: dict[CounterName, tuple[str, str]] = {
    "train_seconds": ("training seconds", ",.1f"),
    "flops": ("FLOPs", ".4g"),
    "real_images": ("real images", ",.0f"),
    "g_steps": ("updates of G", ",.0f"),
}


def read_curve(folder: Path) -> list[Point]:
    """The evaluations of the run in ``folder``, in order; empty where there are none yet.

    A torn last line, as a run that is under way may have, is left out.
    """
    rows = _rows(folder / "metrics.jsonl")
    seconds = {row["step"]: row["train_seconds"] for row in _rows(folder / "timing.jsonl")}
    return [
        Point(
            row["step"],
            _counters(row, seconds.get(row["step"], math.nan)),
            row["n"],
            {unlabelled(name, row["n"]): float(value) for name, value in row["scores"].items()},
        )
        for row in rows
    ]


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows that evaluations have left."""
    return [row for row in read_rows(path)[0] if row["event"] == "scores"] if path.exists() else []


def _counters(row: dict[str, Any], seconds: float) -> Counters:
    counted = {field.name: row[field.name] for field in fields(Counters) if field.name != "train_seconds"}
    return Counters(**counted, train_seconds=seconds)


def parse_match(text: str) -> CounterName | Limit:
    """``seconds``, ``flops`` or ``images``, whose limit the runs set; or an amount, as in ``10min`` or ``5pflop``.

    Raises UsageError for anything else.
    """
    if text in MATCHES:
        return MATCHES[text]
    try:
        amount = Amount.model_validate(text)
    except ValueError:
        raise UsageError(
            f"--match takes {', '.join(MATCHES)} or an amount such as 64kimg, 10min or 5pflop, not '{text}'"
        ) from None
    return Limit(amount.counter, amount.amount)


def least_total(counter: CounterName, totals: Iterable[dict[str, Any]]) -> Limit:
    """The most that every one of some finished runs has spent; ``totals`` are their counters.

    Raises UsageError where none has finished.
    """
    spent = [float(total[counter]) for total in totals]
    if not spent:
        raise UsageError("--match needs a run that has finished: 'ganbench sweep' makes them")
    return Limit(counter, min(spent))


def cut(curve: Sequence[Point], limit: Limit) -> Point | None:
    """The last evaluation at or below the limit; None where even the first is beyond it. Nothing is interpolated."""
    within = [point for point in curve if float(getattr(point.spent, limit.counter)) <= limit.amount]
    return within[-1] if within else None
