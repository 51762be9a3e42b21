"""What a person sees of a sweep on stderr: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganbench.sweep.estimate import Estimator, spoken
from ganbench.sweep.runs import SweptRun

LIVE_SECONDS = 1.0
"""Between two looks into the logs of the running."""
LINE_SECONDS = 30.0
"""Between two summaries where stderr is no terminal."""


class View(Protocol):
    """A context that shows where all runs stand."""

    def __enter__(self) -> View:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def show(self) -> None:
        """Show where the runs stand, if that is due."""

    def say(self, message: str) -> None:
        """Show a line that stays."""


class Overall:
    """A sweep in one line."""

    def __init__(self, runs: Sequence[SweptRun], slots: int, estimator: Estimator) -> None:
        self.runs, self._slots, self._estimator = runs, slots, estimator

    def __str__(self) -> str:
        counts = {state: sum(run.state == state for run in self.runs) for state in ("running", "waiting", "elsewhere")}
        counts |= {state: sum(run.state == state for run in self.runs) for state in ("diverged", "failed")}
        done = sum(run.done for run in self.runs)
        others = "".join(f", {count} {state}" for state, count in counts.items() if count)
        left = self.seconds_left()
        return f"{done} of {len(self.runs)} runs done{others}" + (f", about {spoken(left)} left" if left else "")

    def seconds_left(self) -> float | None:
        """With all slots at work; None where the time of some run is unknown."""
        total = 0.0
        for run in self.runs:
            if not run.open:
                continue
            seconds = self._estimator.seconds(run.folder.spec)
            if seconds is None:
                return None
            total += seconds * (1 - (run.progress()[0] if run.begun else 0))
        return total / self._slots


class LineView:
    """Plain lines: every event, and a summary every half minute."""

    def __init__(self, overall: Overall) -> None:
        self._overall = overall
        self._next = time.monotonic() + LINE_SECONDS

    def __enter__(self) -> LineView:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self) -> None:
        """Print a summary, and a line for each run at work, if the last are half a minute old."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LINE_SECONDS
        self.say(str(self._overall))
        for run in self._overall.runs:
            if run.state == "running":
                share, status = run.progress()
                self.say(f"  {run.name}: {share:.0%}  {status}")

    def say(self, message: str) -> None:
        """Print a line."""
        print(message, file=sys.stderr, flush=True)


class LiveView:
    """A table of the runs at work, rewritten in place, below the events."""

    def __init__(self, overall: Overall) -> None:
        self._overall = overall
        self._next = 0.0
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self) -> None:
        """Redraw, at most once a second: it reads the logs."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LIVE_SECONDS
        self._live.update(self._draw(), refresh=True)

    def _draw(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for run in self._overall.runs:
            if run.state in ("running", "elsewhere"):
                share, status = run.progress()
                shown = status if run.state == "running" else "in another process"
                table.add_row(Text(run.name), ProgressBar(total=1.0, completed=share, width=24), Text(shown))
        return Group(table, Text(str(self._overall)))

    def say(self, message: str) -> None:
        """Print a line above the table."""
        self._live.console.print(message, highlight=False, markup=False, emoji=False, soft_wrap=True)


def view_for_stderr(overall: Overall) -> View:
    """A live table where stderr is a terminal, lines where it is not."""
    return LiveView(overall) if sys.stderr.isatty() else LineView(overall)
