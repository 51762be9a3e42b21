"""Every start of a run, and how it ended: ``attempts.jsonl`` in the run's folder.

A row is written when a process begins to train and another when it stops. A process that is killed writes no
second row: the next one does it in its place, with the time of the last record, grid or checkpoint of
the killed one.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
            attempts[-1] = Attempt(last.started, last.host, last.pid, row["how"], row["seconds"])
    return attempts


@contextmanager
def recorded_attempt(folder: RunFolder) -> Iterator[None]:
    """Record the block as an attempt at the run; the run must be claimed."""
    before = read_attempts(folder.path)
    if before and before[-1].ended is None:
        _append(folder, {"event": "end", "how": "killed", "seconds": _last_sign(folder.path) - before[-1].started})
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
        _append(folder, {"event": "end", "how": how, "seconds": time.monotonic() - clock})


def _append(folder: RunFolder, row: dict[str, Any]) -> None:
    rows = JSONLines(folder.attempts)
    rows.append(row)
    rows.sync()
    rows.close()


def _last_sign(folder: Path) -> float:
    """When the run last wrote something, in seconds since 1970."""
    written = [path for path in folder.rglob("*") if path.suffix in (".pt", ".png", ".jsonl")]
    return max(path.stat().st_mtime for path in written)
