"""What places runs: the seam between the driver and whatever machines there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ganbench.store import RunFolder

Handle = Any
"""What an executor knows a submitted run by; nobody else looks into it."""


@dataclass(frozen=True)
class Job:
    """One start of a run: ``python -m ganbench run --spec FOLDER/spec.json`` and what follows."""

    folder: RunFolder
    """Created, so that it holds the spec."""
    arguments: tuple[str, ...]
    """Of ``ganbench run`` besides the spec: results, places, plug-ins, the device."""


class Executor(Protocol):
    """Starts runs and tells how their processes ended.

    It does not know what a run is: it neither tries again nor passes over what is done, and its word on how a
    process ended is no result. Done means a valid ``result.json`` in the folder, after :meth:`collect`.
    """

    slots: int
    """How many runs it takes at a time."""

    def submit(self, job: Job) -> Handle:
        """Start a run, or queue it, and return at once. The run's output is appended to ``job.folder.log``."""

    def poll(self, handle: Handle) -> int | None:
        """The exit code of the run's process, negative for a signal; None while it waits or runs."""

    def cancel(self, handle: Handle, *, at_once: bool = False) -> None:
        """Ask a run to save and stop, or end it ``at_once``; :meth:`poll` tells when it has ended."""

    def collect(self, handle: Handle) -> None:
        """Bring what an ended run wrote into its folder, where it was elsewhere."""

    def close(self) -> None:
        """Give back all that is held; every run has ended."""
