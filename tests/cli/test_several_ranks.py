"""One run on two processes: by torchrun and by --gpus, stopped, robbed of a rank, refused where it would be wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import (
    assert_same_run,
    call,
    command,
    launched,
    outcome,
    python,
    run_folder,
    train,
    wait_until,
)

from ganbench.attempts import read_attempts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tests look for ranks in /proc")
SHARED = ("--set", "evaluation.batch=16", "--budget", "24steps", "--set", "evaluation.every=6steps")
"""Each of two ranks has samples to make, and there is time to disturb them."""


def ranks_of(parent: int) -> dict[int, int]:
    """The processes of the ranks that a process has started, by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            state, ppid = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            variables = dict(v.split("=", 1) for v in (folder / "environ").read_text().split("\0") if "=" in v)
        except OSError:  # no process, or one that has just ended
            continue
        if int(ppid) == parent and state != "Z" and "RANK" in variables:
            found[int(variables["RANK"])] = int(folder.name)
    return found


def gone(process: int) -> bool:
    """Whether a process has ended; one that nobody has asked for its exit code has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def has(results: Path, pattern: str) -> Callable[[], bool]:
    """Whether the run has come so far that a file of this name is there."""
    return lambda: any(results.glob(f"runs/*/{pattern}"))


@pytest.fixture(scope="module")
def by_torchrun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an undisturbed run on the ranks that torchrun started."""
    results = tmp_path_factory.mktemp("torchrun")
    started = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "ganbench")
    end = python(*started, *command("sngan", results, *SHARED))
    assert end.code == 0, end.err
    assert end.json["status"] == "finished"
    assert end.err.count("step 24  D") == 1, end.err
    assert "Warning" not in end.err
    return results


def test_the_ranks_of_torchrun_are_the_world_of_the_spec(by_torchrun: Path) -> None:
    folder = run_folder(by_torchrun)
    assert json.loads((folder / "spec.json").read_text())["world"] == 2
    (attempt,) = read_attempts(folder)
    assert attempt.ended == "done"
    again = train("sngan", by_torchrun, *SHARED, "--gpus", "2")
    assert again.code == 0
    assert again.json["path"] == str(folder)


def test_scores_before_the_first_step_are_those_of_one_rank(by_torchrun: Path, tmp_path: Path) -> None:
    assert train("sngan", tmp_path, *SHARED, "--budget", "1steps").code == 0
    rows = [
        json.loads((run_folder(results) / "metrics.jsonl").read_text().splitlines()[0])
        for results in (by_torchrun, tmp_path)
    ]
    assert rows[0] == rows[1]
    grids = [(run_folder(results) / "samples/step-000000000.png").read_bytes() for results in (by_torchrun, tmp_path)]
    assert grids[0] == grids[1]


def test_a_run_that_loses_a_rank_and_is_stopped_ends_as_if_undisturbed(by_torchrun: Path, tmp_path: Path) -> None:
    arguments = command("sngan", tmp_path, *SHARED, "--gpus", "2")
    with launched(*arguments) as process:
        wait_until(has(tmp_path, "samples/step-000000000.png"), process)
        first = ranks_of(process.pid)
        os.kill(first[1], signal.SIGKILL)
        wait_until(lambda: set(ranks_of(process.pid).values()).isdisjoint(first.values()), process)
        wait_until(has(tmp_path, "checkpoints/step-*6.pt"), process)
        second = ranks_of(process.pid)
        process.terminate()
        stopped = outcome(process)
    assert stopped.code == 130
    assert stopped.out == ""
    told = [line for line in stopped.err.splitlines() if line.startswith("ganbench: ")]
    assert "ganbench: rank 1 was ended by SIGKILL: all ranks go on from the last checkpoint (restart 1 of 3)" in told
    assert told[-1].startswith("ganbench: interrupted at step ")
    assert "Traceback" not in stopped.err
    assert "torch/distributed" not in stopped.err
    assert all(map(gone, (*first.values(), *second.values())))
    end = call(*arguments)
    assert end.code == 0
    assert [attempt.ended for attempt in read_attempts(run_folder(tmp_path))] == ["failed", "interrupted", "done"]
    assert_same_run(tmp_path, by_torchrun)


def test_the_ranks_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    with launched(*command("sngan", tmp_path, "--gpus", "2")) as process:
        wait_until(has(tmp_path, "attempts.jsonl"), process)
        ranks = ranks_of(process.pid)
        process.kill()
        process.wait()
        for rank in ranks.values():
            with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as clock:
                wait_until(lambda rank=rank: gone(rank), clock)
                clock.kill()
    assert len(ranks) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--gpus", "3"], "a batch of 8 cannot be shared by 3 ranks: choose a multiple of 3 with --batch"),
        (["--gpus", "2", "--sync-bn"], "--sync-bn needs GPUs"),
        (["--sync-bn"], "sync_bn joins the statistics of several ranks, and there is one"),
        (["--gpus", "2", "--device", "cuda"], "2 ranks on this machine need a GPU each, and it has 0"),
        (["--gpus", "2", "--loss", "relativistic-hinge"], "the loss 'relativistic-hinge' compares images of a batch"),
        (["--gpus", "2", "--regularizer", "lecam"], "the regularizer 'lecam' compares images of a batch"),
        (["--gpus", "2", "--regularizer", "dragan"], "the regularizer 'dragan' compares images of a batch"),
    ],
)
def test_what_several_ranks_would_do_otherwise_is_refused(
    arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    end = train("sngan", tmp_path, *arguments)
    assert end.code == 2
    assert complaint in end.complaint
    assert not list(tmp_path.glob("runs/*"))


def test_a_spec_of_two_ranks_is_not_run_by_another_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    end = train("sngan", tmp_path, "--gpus", "2")
    assert end.code == 2
    assert "the spec is of a world of 2 and torchrun started 4" in end.complaint


def test_what_all_ranks_meet_is_told_by_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "3", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert train("sngan", tmp_path).err == ""
    monkeypatch.setenv("RANK", "0")
    assert "a batch of 8 cannot be shared by 3 ranks" in train("sngan", tmp_path).complaint


def test_one_rank_has_the_id_of_a_run_that_knew_of_none(tmp_path: Path) -> None:
    ids = [
        call("show", "--model", "sngan", "--json", *given).json["run_id"]
        for given in ([], ["--gpus", "1"], ["--no-sync-bn"], ["--gpus", "2"])
    ]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    shown = call("show", "--model", "sngan", "--gpus", "2", "--batch", "64").out
    assert "world = 2\n" in shown
    assert "bn_batch = 32 " in shown
