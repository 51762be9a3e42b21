"""What a person sees of a run on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

LINE_SECONDS = 10.0
"""Between two plain lines where stderr is no terminal."""


@dataclass(frozen=True)
class Status:
    """Where a run stands."""

    step: int
    share: float
    """Of the budget that is spent, 0 to 1."""
    loss_d: float
    loss_g: float
    images_per_second: float
    """Real images shown to D per second of training."""
    seconds_left: float
    score: str
    """The last score, as in ``fcd 12.3``."""

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds_left), 60)
        left = f"{minutes}:{seconds:02d} left"
        losses = f"D {self.loss_d:.3f}  G {self.loss_g:.3f}"
        return f"step {self.step}  {losses}  {self.images_per_second:.0f} img/s  {self.score}  {left}"


class Progress(Protocol):
    """A context that is told how far the run is."""

    def __enter__(self) -> Progress:
        """Start to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def update(self, status: Status) -> None:
        """Show where the run stands."""

    def say(self, message: str) -> None:
        """Show a line that stays."""


class LineProgress:
    """Plain lines, at most one every ten seconds but for what has to be said."""

    def __init__(self) -> None:
        self._next = 0.0

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, status: Status) -> None:
        """Print the status if the last line is ten seconds old or the run is at its end."""
        now = time.monotonic()
        if now >= self._next or status.share >= 1:
            self._next = now + LINE_SECONDS
            self.say(f"{min(status.share, 1):4.0%}  {status}")

    def say(self, message: str) -> None:
        """Print a line."""
        print(message, file=sys.stderr, flush=True)


class BarProgress:
    """A rich progress bar."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), console=Console(stderr=True)
        )
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, status: Status) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=min(status.share, 1.0), description=str(status))

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(message, highlight=False, markup=False, emoji=False, soft_wrap=True)


class SilentProgress:
    """Says nothing: of a rank that is not the first."""

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, status: Status) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""


def progress_for_stderr() -> Progress:
    """A bar where stderr is a terminal, lines where it is not."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
