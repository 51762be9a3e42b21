"""Runs on a Ray cluster whose machines share no folder.

A run is a task of Ray in which ``ganbench run`` is a subprocess, as on any machine, in a private folder that goes when
the task ends. Its log and what it writes come home through one collector on the driver's machine, and a run that is
started again elsewhere takes along what had come home. Task and collector are the driver's: they end with it, so one
whose driver was killed has nobody to report to.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ganbench.api import (
    Demand,
    Job,
    MissingError,
    NonNegativeInt,
    Packer,
    PositiveFloat,
    PositiveInt,
    RunFolder,
    StoreError,
    UsageError,
    unpack,
)
from ganbench.zoo.executor.ray_task import Collector, Shipment, train

ELSEWHERE = 0
"""What ``ganbench run`` ends with where another process has the run."""
FAILED = 1
"""As of a process: a machine could not even start the run's."""
LOST = -signal.SIGKILL
"""How a process has ended that went with its machine."""


@dataclass
class _Placed:
    """A run that was given to Ray."""

    name: str
    folder: RunFolder
    claim: ExitStack
    """Held by the driver: the task's folder is known to nobody else."""
    task: Any
    """None where another process has the run."""


class RayExecutor:
    """A Ray cluster: a GPU for each run where it has GPUs, never a share of one.

    ``address`` is as for ``ray.init``: ``auto`` is the cluster that this machine is part of, ``local`` one that is
    started here for the sweep. Each run has ``cpus_per_run`` cores and as many threads, and what it writes comes home
    every ``sync_seconds``: that much is lost when its machine is.
    """

    def __init__(
        self,
        demand: Demand,
        *,
        address: str = "auto",
        cpus_per_run: PositiveInt = 1,
        gpus_per_run: NonNegativeInt | None = None,
        sync_seconds: PositiveFloat = 30.0,
    ) -> None:
        if demand.device.startswith("cuda:"):
            raise UsageError(f"--device {demand.device}: Ray chooses the GPU, use --device cuda")
        self._ray = _connected(address)
        if gpus_per_run is None:
            gpus_per_run = 1 if demand.device != "cpu" and self._ray.cluster_resources().get("GPU") else 0
        self.slots = demand.jobs or max(1, min(self._room(cpus_per_run, gpus_per_run), demand.runs))
        self._sync_seconds = sync_seconds
        self._environment = {k: v for k, v in os.environ.items() if k.startswith("GANBENCH")}
        self._environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(cpus_per_run)
        self._train = self._ray.remote(max_retries=0, num_cpus=cpus_per_run, num_gpus=gpus_per_run)(train)
        here = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self._ray.get_runtime_context().get_node_id(), soft=False
        )
        self._collector = self._ray.remote(num_cpus=0)(Collector).options(scheduling_strategy=here).remote()
        self._submitted = 0

    def _room(self, cpus: int, gpus: int) -> int:
        """How many runs all machines have room for by now."""
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(
            int(min(has.get("CPU", 0) // cpus, has.get("GPU", 0) // gpus if gpus else float("inf"))) for has in alive
        )

    def submit(self, job: Job) -> _Placed:
        """Send the run, with all that it has written so far, to wherever Ray finds room."""
        self._submitted += 1
        name, claim = f"{job.folder.spec.run_id[:12]}-{self._submitted}", ExitStack()
        held = claim.enter_context(job.folder.claimed())
        if held is None:
            return _Placed(name, job.folder, claim, None)
        try:
            held.sweep()
            plugins = tuple((path.name, path.read_bytes()) for path in job.plugins)
            shipment = Shipment(job, Packer(held).pack(), plugins, self._environment)
            task = self._train.remote(name, self._ray.put(shipment), self._collector, self._sync_seconds)
        except BaseException:
            claim.close()
            raise
        return _Placed(name, held, claim, task)

    def poll(self, handle: _Placed) -> int | None:
        """How its process ended; one that was lost with its machine was killed. Brings home what is new."""
        if handle.task is None:
            return ELSEWHERE
        ended, _ = self._ray.wait([handle.task], timeout=0)
        self._fetch(handle)  # after the look: what an ended task has reported is all there
        if not ended:
            return None
        try:
            code: int = self._ray.get(handle.task)
        except self._ray.exceptions.RayTaskError as error:
            self._log(handle, f"ganbench: the task of the run failed: {' '.join(str(error.cause).split())}\n".encode())
            return FAILED
        except self._ray.exceptions.RayError:
            return LOST
        return code

    def _fetch(self, handle: _Placed) -> None:
        for log, parcel in self._asked(self._collector.fetch.remote(handle.name)):
            self._log(handle, log)
            if parcel is not None:
                unpack(parcel, handle.folder)

    def _log(self, handle: _Placed, text: bytes) -> None:
        with handle.folder.log.open("ab") as file:
            file.write(text)

    def _asked(self, answer: Any) -> Any:
        try:
            return self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            raise StoreError(
                f"the Ray cluster is gone ({type(error).__name__}): the same command goes on from what came home"
            ) from error

    def cancel(self, handle: _Placed, *, at_once: bool = False) -> None:
        """Tell the run by its next report, or end its task; one that has not begun is taken out of Ray's queue."""
        if handle.task is None:
            return
        if at_once:
            self._ray.cancel(handle.task, force=True)
        elif not self._asked(self._collector.stop.remote(handle.name)):
            self._ray.cancel(handle.task)

    def collect(self, handle: _Placed) -> None:
        """Let others have the run: what it wrote came home while it was polled."""
        handle.claim.close()

    def close(self) -> None:
        """Leave the cluster; what is still in it of this driver's ends."""
        self._ray.shutdown()


def _connected(address: str) -> ModuleType:
    """Ray, connected to a cluster. Raises MissingError where there is none."""
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ImportError:
        raise MissingError("the executor 'ray' needs Ray: pip install 'ganbench[ray]'") from None
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise MissingError(
            f"no Ray cluster at {address} ({str(error).splitlines()[0]}): start one with 'ray start --head', "
            "or use --address local"
        ) from error
    connected: ModuleType = ray
    return connected
