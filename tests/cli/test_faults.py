"""A full disk, a read-only one, a terminal that goes, clocks that jump: a clear line or the same end, no row less."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import (
    DEADLINE,
    assert_same_run,
    at_step,
    call,
    command,
    environment,
    interrupt,
    newest,
    run_folder,
    train,
    wait_until,
)

from ganbench.attempts import read_attempts

RunOf = Callable[[str], Path]
Disk = Callable[[str], None]
FULL = "No space left on device; free the disk or choose --results"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mounts a small file system at ``tmp_path / "disk"``, or changes it, with options as of mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def mount(options: str) -> None:
        nonlocal mounted
        words = ["mount", "-t", "tmpfs", "-o", f"remount,{options}" if mounted else options, "none", str(folder)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"nothing can be mounted here: {error}")
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        mounted = True

    yield mount
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave not a byte."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (4096, 1):
            with pytest.raises(OSError, match="No space left"):  # noqa: PT012 (however many writes it takes)
                while True:
                    file.write(bytes(size))


@pytest.mark.parametrize("size", ["8k", "40k", "300k", "800k"])
def test_a_disk_that_is_too_small_is_told_and_a_greater_one_mends_it(
    size: str, disk: Disk, undisturbed: RunOf, tmp_path: Path
) -> None:
    disk(f"size={size}")
    refused = train("dcgan", tmp_path / "disk")
    assert refused.code == 1
    last = refused.err.splitlines()[-1]
    assert last.startswith(f"ganbench: {run_folder(tmp_path / 'disk')}/")
    assert last.endswith(f" cannot be written: {FULL}")
    disk("size=64m")
    assert train("dcgan", tmp_path / "disk").code == 0
    assert_same_run(tmp_path / "disk", undisturbed("dcgan"))


@pytest.mark.parametrize("step", [0, 3, 5])
def test_a_disk_that_runs_full_while_training(step: int, disk: Disk, undisturbed: RunOf, tmp_path: Path) -> None:
    disk("size=16m")
    results = tmp_path / "disk"
    with at_step(step, lambda: fill(results)):
        refused = train("dcgan", results)
    assert refused.code == 1
    assert refused.err.splitlines()[-1].endswith(f" cannot be written: {FULL}")
    assert call("table", "--results", results).code == 0
    (results / "filler").unlink()
    assert train("dcgan", results).code == 0
    assert_same_run(results, undisturbed("dcgan"))


def test_a_read_only_disk_is_told_and_a_run_that_is_done_is_shown(
    disk: Disk, undisturbed: RunOf, tmp_path: Path
) -> None:
    results = tmp_path / "disk"
    disk("size=16m")
    with at_step(4, interrupt):
        assert train("dcgan", results).code == 130
    disk("ro")
    refused = train("dcgan", results)
    assert refused.code == 1
    expected = f"ganbench: {run_folder(results)} cannot be written: Read-only file system; choose --results"
    assert refused.err.splitlines()[-1] == expected
    other = train("sngan", results)
    assert other.code == 1
    assert "cannot be made: Read-only file system; choose another with --results" in other.err.splitlines()[-1]
    disk("rw")
    assert train("dcgan", results).code == 0
    assert_same_run(results, undisturbed("dcgan"))
    disk("ro")
    assert train("dcgan", results).json["status"] == "finished"
    assert call("table", "--results", results).code == 0


@pytest.mark.parametrize("leap", [-1e9, 1e9, None])
def test_clocks_that_jump_change_nothing(
    leap: float | None, undisturbed: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, real, reads = random.Random(7), time.time, [0]

    def jumping() -> float:
        reads[0] += 1
        return real() + (draw.uniform(-1e9, 1e9) if leap is None else leap * reads[0])

    monkeypatch.setattr(time, "time", jumping)
    with at_step(2, interrupt):
        assert train("dcgan", tmp_path).code == 130
    end = train("dcgan", tmp_path)
    assert reads[0] > 0
    assert (end.code, end.json["status"]) == (0, "finished")
    assert 0 < end.json["counters"]["train_seconds"] < DEADLINE
    assert 0 < end.json["cost"]["evaluation_seconds"] < DEADLINE
    assert_same_run(tmp_path, undisturbed("dcgan"))
    attempts = read_attempts(run_folder(tmp_path))
    assert [attempt.ended for attempt in attempts] == ["interrupted", "done"]
    assert all(0 < (attempt.seconds or 0) < DEADLINE for attempt in attempts)


LONG = ["--budget", "100000steps", "--set", "evaluation.every=50000steps"]


def test_a_terminal_that_goes_away_lets_the_run_save(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "ganbench", *command("dcgan", tmp_path, *LONG)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        text=True,
        env=environment() | {"TERM": "dumb"},
    )
    try:
        os.close(theirs)
        os.set_blocking(ours, False)
        wait_until(lambda: _read(ours) and any(tmp_path.glob("runs/*/metrics.jsonl")), process)
        os.close(ours)
        assert process.wait(DEADLINE) == 130
    finally:
        process.kill()
        process.wait()
    assert newest(run_folder(tmp_path)).exists()
    assert [attempt.ended for attempt in read_attempts(run_folder(tmp_path))] == ["interrupted"]


def _read(terminal: int) -> bool:
    """Take what was written, so that no writer waits."""
    with contextlib.suppress(BlockingIOError):
        os.read(terminal, 65536)
    return True


def test_under_nohup_the_end_of_a_terminal_does_not_count(undisturbed: RunOf, tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "ganbench", *command("dcgan", tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        wait_until(lambda: any(tmp_path.glob("runs/*/metrics.jsonl")), process)
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.wait()
    assert json.loads(out)["status"] == "finished"
    assert_same_run(tmp_path, undisturbed("dcgan"))
