"""The part of a run on Ray that is on the run's machine, and the collector that it reports to."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganbench.api import Job, Packer, Parcel, RunFolder, unpack

LOOK_SECONDS = 0.5
"""Between two looks at the run's process."""


class Collector:
    """Keeps what the runs report until the driver fetches it, and whom the driver has asked to stop."""

    def __init__(self) -> None:
        self._inbox: dict[str, list[tuple[bytes, Parcel | None]]] = {}
        self._stopping: set[str] = set()

    def report(self, run: str, log: bytes, parcel: Parcel | None) -> bool:
        """Take what is new of a run; returns whether it shall save and stop."""
        self._inbox.setdefault(run, []).append((log, parcel))
        return run in self._stopping

    def fetch(self, run: str) -> list[tuple[bytes, Parcel | None]]:
        """What is new of a run since the last time, the oldest first."""
        news, self._inbox[run] = self._inbox.get(run, []), []
        return news

    def stop(self, run: str) -> bool:
        """Ask a run to save and stop; returns whether it has begun."""
        self._stopping.add(run)
        return run in self._inbox


@dataclass(frozen=True)
class Shipment:
    """A job as it travels: all that a machine needs that shares no folder with the driver's."""

    job: Job
    records: Parcel
    """What the run has written so far, its checkpoints with it."""
    plugins: tuple[tuple[str, bytes], ...]
    """Name and content of the plug-in files."""
    environment: Mapping[str, str]

    def unpack(self, place: Path) -> Job:
        """The job with its folder and its plug-in files below ``place``."""
        folder = RunFolder(place, self.job.folder.spec)
        folder.create()
        unpack(self.records, folder)
        plugins = []
        for number, (name, content) in enumerate(self.plugins):
            path = place / "plugins" / str(number) / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            plugins.append(path)
        return replace(self.job, folder=folder, plugins=tuple(plugins))


class _Reporter:
    """Reports to the collector what a run logs and that it has begun, at once, and what it writes, every so often.

    Made before the run is started: what lies in its folder then is known at home.
    """

    def __init__(self, name: str, folder: RunFolder, collector: Any, sync_seconds: float) -> None:
        self._name, self._folder, self._collector, self._every = name, folder, collector, sync_seconds
        self._packer = Packer(folder)
        self._packer.pack()
        self._attempts = self._size_of_attempts()
        self._logged, self._due = 0, time.monotonic() + sync_seconds

    def _size_of_attempts(self) -> int:
        return self._folder.attempts.stat().st_size if self._folder.attempts.exists() else 0

    def report(self, *, all_of_it: bool = False) -> bool:
        """Report what is new; returns whether the run shall save and stop."""
        import ray

        parcel, attempts = None, self._size_of_attempts()
        if all_of_it or attempts != self._attempts or time.monotonic() >= self._due:
            self._attempts = attempts
            parcel = self._packer.pack()
            self._due = time.monotonic() + self._every
        stop: bool = ray.get(self._collector.report.remote(self._name, self._new_log(), parcel))
        return stop

    def _new_log(self) -> bytes:
        with self._folder.log.open("rb") as file:
            file.seek(self._logged)
            new = file.read()
        self._logged += len(new)
        return new


def train(name: str, shipment: Shipment, collector: Any, sync_seconds: float) -> int:
    """The task: run the job in a private folder; returns the exit code of its process."""
    with tempfile.TemporaryDirectory(prefix="ganbench-") as place, ExitStack() as stack:
        job = shipment.unpack(Path(place))
        reporter, stopping = _Reporter(name, job.folder, collector, sync_seconds), False
        process = job.start(shipment.environment)
        stack.callback(_end, process)
        while process.poll() is None:
            if reporter.report() and not stopping:
                stopping = True
                os.killpg(process.pid, signal.SIGTERM)
            time.sleep(LOOK_SECONDS)
        reporter.report(all_of_it=True)
        return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
