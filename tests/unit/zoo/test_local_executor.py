"""Where the local executor puts runs, and the leash that ends them with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganbench.api import Demand, Job, StoreError
from ganbench.zoo.executor import local as local_module
from ganbench.zoo.executor.local import LocalExecutor, local


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores and four GPUs."""
    monkeypatch.setattr(local_module.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def environments(executor: LocalExecutor) -> list[tuple[str, str | None]]:
    """Threads and GPU of every slot."""
    shown = [executor._environment(slot) for slot in range(executor.slots)]
    return [(each["OMP_NUM_THREADS"], each.get("CUDA_VISIBLE_DEVICES")) for each in shown]


@pytest.mark.parametrize(
    ("device", "jobs", "runs", "slots"),
    [
        ("cpu", None, 27, [("1", None)] * 8),
        ("cpu", None, 3, [("2", None)] * 3),
        ("cpu", 2, 27, [("4", None)] * 2),
        ("cpu", 16, 27, [("1", None)] * 16),
        ("cpu", None, 0, [("8", None)]),
        ("cuda", None, 27, [("2", "0"), ("2", "1"), ("2", "2"), ("2", "3")]),
        ("cuda", 2, 27, [("4", "0"), ("4", "1")]),
        ("cuda", 5, 27, [("1", "0"), ("1", "1"), ("1", "2"), ("1", "3"), ("1", "0")]),
        ("cuda:1", None, 27, [("8", None)]),
    ],
)
def test_a_slot_is_a_gpu_or_a_share_of_the_cores(
    device: str, jobs: int | None, runs: int, slots: list[tuple[str, str | None]]
) -> None:
    assert environments(local(Demand(runs, jobs, device, Path()))) == slots


def test_what_the_user_has_set_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,GPU-a1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert environments(local(Demand(9, None, "cuda", Path()))) == [("3", "6"), ("3", "GPU-a1")]


def test_a_run_that_cannot_be_started_takes_no_slot(tmp_path: Path) -> None:
    class Folder:
        results = spec_file = log = tmp_path / "absent" / "log.txt"

    executor = LocalExecutor(1, 1)
    for _ in range(2):
        with pytest.raises(StoreError, match="choose --results"):
            executor.submit(Job(Folder(), (), ()))  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the leash")
@pytest.mark.parametrize(("parent", "code"), [("own", 7), ("gone", -signal.SIGKILL)])
def test_the_leash_lets_live_whose_parent_lives(parent: str, code: int) -> None:
    pid = os.getpid() if parent == "own" else 2**22 + 1  # above the highest there can be
    ends_with_7 = [sys.executable, "-c", "raise SystemExit(7)"]
    ended = subprocess.run([sys.executable, "-m", "ganbench.sweep.leash", str(pid), *ends_with_7], check=False)
    assert ended.returncode == code
