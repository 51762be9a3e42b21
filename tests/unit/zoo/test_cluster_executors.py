"""What the executors of clusters make of their options, without a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganbench.api import Demand, UsageError
from ganbench.zoo.executor.ray import RayExecutor
from ganbench.zoo.executor.slurm import SlurmExecutor, minutes
from ganbench.zoo.executor.slurm_job import _wait_for


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("90", 90), ("90:01", 91), ("1:30:00", 90), ("1-1", 1500), ("1-1:30", 1530), ("0-0:0:1", 1), ("0", 0)],
)
def test_time_limits_are_read_as_slurm_reads_them(limit: str, expected: int) -> None:
    assert minutes(limit) == expected


@pytest.mark.parametrize("limit", ["", "soon", "1h", "-5", "1:2:3:4"])
def test_other_time_limits_are_refused(limit: str) -> None:
    with pytest.raises(UsageError, match=r"executor\.time"):
        minutes(limit)


@pytest.mark.parametrize("executor", [RayExecutor, SlurmExecutor])
def test_the_cluster_chooses_the_gpu(executor: type, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use --device cuda"):
        executor(Demand(1, None, "cuda:1", tmp_path))


@pytest.mark.parametrize(("ending", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)])
def test_an_exit_code_can_be_asked_for_twice(ending: str, code: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", ending])
    assert [_wait_for(process), _wait_for(process)] == [code, code]
    assert process.wait() == code


@pytest.mark.parametrize("which", ["SIGUSR1", "SIGUSR2"])
def test_a_run_leaves_it_to_its_job_to_answer_slurm(which: str) -> None:
    code = f"import os, signal; os.kill(os.getpid(), signal.{which}); raise SystemExit(7)"
    words = [sys.executable, "-m", "ganbench.sweep.leash", str(os.getpid()), sys.executable, "-c", code]
    assert subprocess.run(words, check=False).returncode == 7
