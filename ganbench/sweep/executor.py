"""What places runs: the seam between the driver and whatever machines there are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ganbench.errors import StoreError
from ganbench.store import RunFolder

Handle = Any
"""What an executor knows a submitted run by; nobody else looks into it."""


@dataclass(frozen=True)
class Demand:
    """What a sweep asks of its executor."""

    runs: int
    """How many the sweep has, done or not."""
    jobs: int | None
    """How many to take at a time; None for as many as there is room for."""
    device: str
    """Of every run: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, of the machine that a run is on."""
    results: Path
    """The results folder, absolute; beside ``runs/`` an executor may keep what it needs itself."""


@dataclass(frozen=True)
class Job:
    """One start of a run."""

    folder: RunFolder
    """Created, so that it holds the spec."""
    plugins: tuple[Path, ...]
    """Plug-in files, absolute."""
    arguments: tuple[str, ...]
    """Of ``ganbench run`` besides these: places, the device."""

    @property
    def command(self) -> list[str]:
        """``python -m ganbench run`` of this interpreter, with all that it is given."""
        return [
            *(sys.executable, "-m", "ganbench", "run", "--spec", str(self.folder.spec_file)),
            *("--results", str(self.folder.results)),
            *(word for plugin in self.plugins for word in ("--plugin", str(plugin))),
            *self.arguments,
        ]

    def start(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """The command as a child of this process, killed with the thread that started it.

        In a process group of its own, its output appended to ``folder.log``; ``environment`` is set besides this
        process's. Raises StoreError where the log cannot be written.
        """
        try:
            log = self.folder.log.open("ab")
        except OSError as error:
            raise StoreError(f"{self.folder.log} cannot be written: {error.strerror}; choose --results") from error
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "ganbench.sweep.leash", str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                process_group=0,
            )


class Executor(Protocol):
    """Starts runs and tells how their processes ended. Constructed as ``C(demand, *, options)``.

    It does not know what a run is: it neither tries again nor passes over what is done, and its word on how a
    process ended is no result. Done means a valid ``result.json`` in the folder, after :meth:`collect`. Where a
    run was is no part of its identity; how many threads it has changes the last bits of its result, so that is
    given to :meth:`Job.start` as OMP_NUM_THREADS, and one that the user has set stays as it is.
    """

    slots: int
    """How many runs it takes at a time, at least 1."""

    def submit(self, job: Job) -> Handle:
        """Start a run, or queue it, and return at once. The run's output is appended to ``job.folder.log``.

        Two sweeps may submit the same run: where processes share the folder, ``ganbench run`` claims it and ends
        with 0 where another has it; an executor whose runs are elsewhere holds the claim itself.
        """

    def poll(self, handle: Handle) -> int | None:
        """The exit code of the run's process, negative for a signal; None while it waits or runs.

        While it runs, its log comes home by this.
        """

    def cancel(self, handle: Handle, *, at_once: bool = False) -> None:
        """Ask a run to save and stop, or end it ``at_once``; :meth:`poll` tells when it has ended."""

    def collect(self, handle: Handle) -> None:
        """Bring what an ended run wrote into its folder, where it was elsewhere."""

    def close(self) -> None:
        """Give back all that is held; every run has ended."""
