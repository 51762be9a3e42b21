"""How far a preparation is, on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ganbench.progress import LINE_SECONDS


class Counting(Protocol):
    """Told of images as they come, inside :func:`counting`."""

    def __call__(self, count: int) -> None:
        """So many more are done."""


def counting(what: str, total: int, done: int = 0) -> AbstractContextManager[Counting]:
    """Show ``what`` and the images that are done of ``total``."""
    return _Bar(what, total, done) if sys.stderr.isatty() else _Lines(what, total, done)


class _Lines:
    """A line at most every ten seconds."""

    def __init__(self, what: str, total: int, done: int) -> None:
        self._what, self._total, self._done = what, total, done
        self._next = time.monotonic() + LINE_SECONDS

    def __enter__(self) -> Counting:
        return self._advance

    def __exit__(self, *_: object) -> None:
        return None

    def _advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            print(f"{self._what}: {self._done:,} of {self._total:,} images", file=sys.stderr, flush=True)


class _Bar:
    """A rich progress bar."""

    def __init__(self, what: str, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar: Any = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(what, total=total, completed=done)

    def __enter__(self) -> Counting:
        self._bar.start()
        return lambda count: self._bar.advance(self._task, count)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
