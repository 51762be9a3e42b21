"""Runs as Slurm jobs by submitit, on machines that share the results folder.

submitit writes the batch scripts, submits arrays and requeues. How a job has ended is not asked of it: without Slurm's
accounting it takes a job that was killed for one that goes on for ever. So a job leaves its exit code in a file, and
one that is neither in the queue nor has left any was killed.

Jobs outlive the driver. One that is started again finds the runs at work claimed, and takes over those that still
wait in the queue by what is kept in their folders.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from ganbench.api import Demand, Job, MissingError, NonNegativeInt, PositiveInt, UsageError, write_atomically
from ganbench.zoo.executor.slurm_job import SlurmJob

LOOK_SECONDS = 1.0
"""Between two looks at the queue."""
GRACE_SECONDS = 10.0
"""From when a job is first missed to when it is taken for killed: a file server shows files late."""
REQUEUES = 1_000_000
"""Times that submitit may requeue a job at its time limit: as often as it takes."""
KILLED = -signal.SIGKILL
"""How the process of a job has ended that left no exit code."""


@dataclass
class _Queued:
    """A run in Slurm's queue, or about to be."""

    job: Job
    exit_file: Path
    """Of this submission alone."""
    job_id: str = ""
    """As squeue prints it; empty until it is submitted."""
    missed: float | None = None
    """When it was first neither queued nor done, on the monotonic clock."""
    code: int | None = None

    @property
    def record(self) -> Path:
        """What tells another driver of it."""
        return self.job.folder.path / "slurm.json"


class SlurmExecutor:
    """A Slurm cluster: a job for each run, those that are submitted together as one array.

    ``time`` is a run's limit, in minutes or as ``D-HH:MM:SS``; a run that comes near it saves and is requeued, as
    often as it takes. Each run has ``cpus_per_run`` cores and as many threads. ``sbatch`` holds further options of
    that command: ``sbatch.account``, ``sbatch.qos``.
    """

    def __init__(
        self,
        demand: Demand,
        *,
        partition: str | None = None,
        time: str | PositiveInt = "24:00:00",
        cpus_per_run: PositiveInt = 1,
        gpus_per_run: NonNegativeInt = 0,
        sbatch: dict[str, str | int | bool] | None = None,
    ) -> None:
        if demand.device.startswith("cuda:"):
            raise UsageError(f"--device {demand.device}: Slurm chooses the GPU, use --device cuda")
        self.slots = demand.jobs or max(1, demand.runs)
        self._folder = demand.results / "slurm"
        self._sbatch = {
            "time": minutes(str(time)),
            "cpus_per_task": cpus_per_run,
            "additional_parameters": {"requeue": True, **(sbatch or {})},
            **({"partition": partition} if partition else {}),
            **({"gpus_per_node": gpus_per_run} if gpus_per_run else {}),
        }
        self._environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(cpus_per_run)}
        self._submitit = _submitit()
        self._new: list[_Queued] = []
        self._queue: dict[str, str] = {}
        self._looked: float | None = None

    def submit(self, job: Job) -> _Queued:
        """Take over the run's job if one is queued; else it is submitted with the next look at the queue."""
        self._look()
        queued = _Queued(job, self._folder / f"{secrets.token_hex(8)}.exit")
        if queued.record.exists():
            record = json.loads(queued.record.read_bytes())
            if self._queue.get(record["job_id"]) == record["name"]:
                return _Queued(job, self._folder / record["exit"], record["job_id"])
        self._new.append(queued)
        return queued

    def _submit_new(self) -> None:
        """As one array. Raises UsageError where sbatch refuses."""
        new, self._new = self._new, []
        name = f"ganbench-{secrets.token_hex(4)}"
        executor = self._submitit.SlurmExecutor(self._folder, max_num_timeout=REQUEUES)
        executor.update_parameters(job_name=name, **self._sbatch)
        try:
            with executor.batch():
                jobs = [executor.submit(SlurmJob(q.job, self._environment, q.exit_file)) for q in new]
        except self._submitit.core.utils.FailedJobError as error:
            raise UsageError(f"sbatch refuses the runs: {str(error).strip().splitlines()[-1]}") from error
        for queued, submitted in zip(new, jobs, strict=True):
            queued.job_id = submitted.job_id
            self._queue[queued.job_id] = name
            content = {"job_id": queued.job_id, "name": name, "exit": queued.exit_file.name}
            write_atomically(queued.record, json.dumps(content).encode())

    def _look(self) -> None:
        """Read the queue, where the last time is long enough ago; while Slurm does not answer, the last one holds."""
        now = monotonic()
        if self._looked is not None and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        told = _command("squeue", "--me", "--array", "--noheader", "--format=%i %j")
        if told.returncode == 0:
            self._queue = dict(line.split(maxsplit=1) for line in told.stdout.splitlines())

    def poll(self, handle: _Queued) -> int | None:
        """The exit code that the job left."""
        if self._new:
            self._submit_new()
        self._look()
        if handle.code is None:
            handle.code = self._code(handle)
        return handle.code

    def _code(self, handle: _Queued) -> int | None:
        if handle.exit_file.exists():
            return int(handle.exit_file.read_bytes())
        if handle.job_id in self._queue:
            handle.missed = None
            return None
        if handle.missed is None:
            handle.missed = monotonic()
        return KILLED if monotonic() - handle.missed > GRACE_SECONDS else None

    def cancel(self, handle: _Queued, *, at_once: bool = False) -> None:
        """Take the job out of the queue if it waits; if it runs, SIGUSR1, at which it saves, or SIGKILL."""
        if handle in self._new:
            self._new.remove(handle)
            handle.code = KILLED
        else:
            _command("scancel", "--state=PENDING", handle.job_id)
            _command("scancel", f"--signal={'KILL' if at_once else 'USR1'}", handle.job_id)

    def collect(self, handle: _Queued) -> None:
        """Forget the job; the folder is shared."""
        for file in (handle.record, handle.exit_file):
            file.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held."""


def minutes(limit: str) -> int:
    """``90``, ``90:00``, ``1:30:00``, ``0-1``, ``0-1:30`` or ``0-1:30:00`` in minutes, rounded up; 0 is no limit.

    Raises UsageError for anything else.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", limit.strip())
    if match is None:
        raise UsageError(f"executor.time is '{limit}': give minutes, HH:MM:SS or D-HH:MM:SS")
    days, *parts = match.groups()
    given = [int(part) for part in parts if part is not None]
    if days is None and len(given) < 3:  # then they begin with the minutes
        given.insert(0, 0)
    hours, mins, seconds = (*given, 0, 0)[:3]
    return (int(days or 0) * 24 + hours) * 60 + mins + (seconds > 0)


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _submitit() -> Any:
    """submitit, on a machine that has Slurm. Raises MissingError where either is absent."""
    try:
        import submitit
        import submitit.core.utils
    except ImportError:
        raise MissingError("the executor 'slurm' needs submitit: pip install 'ganbench[slurm]'") from None
    if submitit.SlurmExecutor.affinity() < 0:
        raise MissingError("the executor 'slurm' needs Slurm's commands on this machine: start it on a login node")
    return submitit
