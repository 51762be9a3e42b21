"""Every start of a run, and how it ended: ``attempts.jsonl`` in the run's folder.

A row is written when a process begins to train and another when it stops. A process that is killed writes no
second row: the next one does it in its place, with the time of the last record, grid or checkpoint of
the killed one. That time is told by the files' own times alone, so that no two clocks are compared.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.checkpoint import Checkpoints
from ganbench.errors import INTERRUPTED, GanbenchError
from ganbench.store import JSONLines, RunFolder, read_rows


@dataclass(frozen=True)
class Attempt:
    """One process that worked on a run."""

    started: float
    """Seconds since 1970."""
    host: str
    pid: int
    ended: str | None
    """``done``, ``interrupted``, ``failed`` or ``killed``; None where it is at work, or was killed last."""
    seconds: float | None
    """From start to end, for a killed one at least; None as above."""
    kept: float | None = None
    """Seconds of training and scoring, of this and all earlier attempts, in the checkpoint that it left; None as
    above, or where that was not recorded."""


def read_attempts(folder: Path) -> list[Attempt]:
    """The attempts of a run's folder, the oldest first; none where it has no record of them."""
    path = folder / "attempts.jsonl"
    if not path.exists():
        return []
    attempts: list[Attempt] = []
    for row in read_rows(path)[0]:
        if row["event"] == "start":
            attempts.append(Attempt(row["time"], row["host"], row["pid"], None, None))
        elif attempts:
            last = attempts[-1]
            attempts[-1] = Attempt(last.started, last.host, last.pid, row["how"], row["seconds"], row.get("kept"))
    return attempts


def wasted_seconds(attempts: Sequence[Attempt]) -> float | None:
    """Of the attempts that did not bring the run to its end: their time, less the work of theirs that was kept.

    None where that was not recorded.
    """
    wasted = before = 0.0
    for attempt in attempts:
        if attempt.ended in (None, "done"):
            continue
        if attempt.kept is None or attempt.seconds is None:
            return None
        wasted += max(0.0, attempt.seconds - (attempt.kept - before))
        before = attempt.kept
    return wasted


@contextmanager
def recorded_attempt(folder: RunFolder) -> Iterator[None]:
    """Record the block as an attempt at the run; the run must be claimed."""
    before = read_attempts(folder.path)
    if before and before[-1].ended is None:
        _append_end(folder, "killed", _last_sign(folder.path) - folder.attempts.stat().st_mtime)
    started, clock = time.time(), time.monotonic()
    _append(folder, {"event": "start", "time": started, "host": socket.gethostname(), "pid": os.getpid()})
    how = "failed"
    try:
        yield
        how = "done"
    except GanbenchError as error:
        how = "interrupted" if error.exit_code == INTERRUPTED else "failed"
        raise
    finally:
        _append_end(folder, how, time.monotonic() - clock)


def _append_end(folder: RunFolder, how: str, seconds: float) -> None:
    _append(folder, {"event": "end", "how": how, "seconds": seconds, "kept": _kept_seconds(folder)})


def _append(folder: RunFolder, row: dict[str, Any]) -> None:
    rows = JSONLines(folder.attempts)
    rows.append(row)
    rows.sync()
    rows.close()


def _kept_seconds(folder: RunFolder) -> float:
    """Of training and scoring, as far as the newest checkpoint has come; 0 where there is none."""
    step = max(Checkpoints(folder.checkpoints).kept("step"), default=-1)
    rows = read_rows(folder.timing)[0] if folder.timing.exists() else []
    spent = [row["train_seconds"] + row["evaluation_seconds"] for row in rows if row["step"] <= step]
    return max(spent, default=0.0)


def _last_sign(folder: Path) -> float:
    """When the run last wrote something, in seconds since 1970."""
    written = [path for path in folder.rglob("*") if path.suffix in (".pt", ".png", ".jsonl")]
    return max(path.stat().st_mtime for path in written)
