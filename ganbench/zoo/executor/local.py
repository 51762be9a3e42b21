"""Runs as subprocesses of this machine: a GPU each, or an equal share of the cores."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ganbench.api import Demand, Job, choose_device


@dataclass
class _Running:
    """A subprocess in its slot."""

    process: subprocess.Popen[bytes]
    slot: int | None
    """None once it is free again."""


class LocalExecutor:
    """A subprocess per run, in a process group of its own and killed with this process.

    ``gpus`` are the values of CUDA_VISIBLE_DEVICES for the slots, one after the other; without any, each slot
    has ``threads`` threads. An OMP_NUM_THREADS that is set stays as it is. The number of threads changes the
    last bits of a result, so it hangs on ``slots`` alone and not on how many runs are left.
    """

    def __init__(self, slots: int, threads: int, gpus: Sequence[str] = ()) -> None:
        self.slots = slots
        self._threads, self._gpus = threads, tuple(gpus)
        self._free = list(range(slots))

    def submit(self, job: Job) -> _Running:
        """Start the run. Raises StoreError where its log cannot be written."""
        slot = self._free[0]
        process = job.start(self._environment(slot))
        self._free.remove(slot)
        return _Running(process, slot)

    def _environment(self, slot: int) -> dict[str, str]:
        own = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(self._threads)}
        if self._gpus:
            own["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        return own

    def poll(self, handle: _Running) -> int | None:
        """The exit code once the process has ended; its slot is free from then on."""
        code = handle.process.poll()
        if code is not None and handle.slot is not None:
            self._free.append(handle.slot)
            handle.slot = None
        return code

    def cancel(self, handle: _Running, *, at_once: bool = False) -> None:
        """SIGTERM to the process group, or SIGKILL."""
        if handle.process.poll() is None:
            os.killpg(handle.process.pid, signal.SIGKILL if at_once else signal.SIGTERM)

    def collect(self, handle: _Running) -> None:
        """Nothing: the folder is this machine's."""

    def close(self) -> None:
        """Nothing is held."""


def local(demand: Demand) -> LocalExecutor:
    """This machine: on ``cuda`` a slot for each GPU, on ``cuda:N`` one, on the CPU one for each core or run; or
    as many as are asked for. More slots than GPUs share them: the runs then time each other.
    """
    device = choose_device(demand.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus: list[str] = _visible_gpus() if device.type == "cuda" and device.index is None else []
    usual = len(gpus) or (1 if device.type == "cuda" else min(cores, max(demand.runs, 1)))
    slots = demand.jobs or usual
    return LocalExecutor(slots, max(1, cores // slots), gpus)


def _visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs that this process sees."""
    count, given = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",")[:count] if given else [str(index) for index in range(count)]
