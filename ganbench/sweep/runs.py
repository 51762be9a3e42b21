"""The runs of a sweep, and where each of them stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ganbench.errors import StoreError
from ganbench.store import RunFolder
from ganbench.suites import PlannedRow
from ganbench.sweep.executor import Handle

State = Literal["waiting", "running", "elsewhere", "finished", "diverged", "failed"]
"""``elsewhere``: another process has the run; ``failed``: this sweep does not try it again."""
TAIL_BYTES = 4096
"""Of a log, in which its last lines are looked for."""


@dataclass
class SweptRun:
    """One run of one row."""

    row: str
    seed: int
    folder: RunFolder
    state: State = "waiting"
    begun: bool = False
    """Whether there are records of an earlier start: it goes on from its checkpoint."""
    died: int = 0
    """How often its process ended without a result in this sweep."""
    message: str = ""
    """Why it failed."""
    not_before: float = 0.0
    """When a run that is elsewhere is looked at again, on the monotonic clock."""
    handle: Handle = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """As it is printed."""
        return f"{self.row} seed {self.seed}"

    @property
    def open(self) -> bool:
        """Whether something is left to do or to wait for."""
        return self.state in ("waiting", "running", "elsewhere")

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return self.state in ("finished", "diverged")

    def take(self, result: dict[str, Any]) -> None:
        """The run has a result."""
        self.state = "diverged" if result["status"] == "diverged" else "finished"

    def progress(self) -> tuple[float, str]:
        """The share of the budget that is spent and the last status, as its process logged them last."""
        for line in reversed(tail(self.folder.log)):
            match = re.match(r"\s*(\d+)%  (step .*)", line)
            if match:
                return int(match[1]) / 100, match[2]
        return 0.0, "starting"

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seed": self.seed,
            "run_id": self.folder.spec.run_id,
            "path": str(self.folder.path),
            "state": self.state,
            "begun": self.begun,
            "died": self.died,
            "message": self.message,
        }


def tail(path: Path) -> list[str]:
    """The last whole lines of a log; none where there is no log."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def swept_runs(planned: Sequence[PlannedRow], results: Path) -> list[SweptRun]:
    """The runs of a plan, in the order in which they are started: the first seed of every row, then the second.

    A run whose folder holds something else, such as a result of an older version, has failed from the start.
    """
    runs = [
        SweptRun(each.row.name, spec.seed, RunFolder(results, spec))
        for seeds in zip(*([(each, spec) for spec in each.specs] for each in planned if each.specs), strict=True)
        for each, spec in seeds
    ]
    for run in runs:
        run.begun = run.folder.metrics.exists()
        try:
            result = run.folder.finished()
        except StoreError as error:
            run.state, run.message = "failed", str(error)
            continue
        if result is not None:
            run.take(result)
    return runs
