"""Two processes that start the same spec: one runs, the other says so or follows it, and nothing is corrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import assert_same_run, at_step, command, launched, outcome, run_folder, train, tree, wait_until

from ganbench import lease
from ganbench.attempts import read_attempts

RunOf = Callable[[str], Path]


def test_the_second_process_says_so_and_leaves_the_run_alone(undisturbed: RunOf, tmp_path: Path) -> None:
    with launched(*command("dcgan", tmp_path)) as first:
        wait_until(lambda: any(tmp_path.glob("runs/*/metrics.jsonl")), first)
        os.kill(first.pid, signal.SIGSTOP)
        before = tree(tmp_path)
        second = train("dcgan", tmp_path)
        assert second.code == 0
        assert second.out == ""
        assert "another process is running" in second.err
        assert tree(tmp_path) == before
        os.kill(first.pid, signal.SIGCONT)
        end = outcome(first)
    assert end.code == 0
    assert end.json["status"] == "finished"
    assert_same_run(tmp_path, undisturbed("dcgan"))


def test_processes_started_at_once_make_one_run(undisturbed: RunOf, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        processes: list[subprocess.Popen[str]] = [
            stack.enter_context(launched(*command("dcgan", tmp_path))) for _ in range(2)
        ]
        ends = [outcome(process) for process in processes]
    assert [end.code for end in ends] == [0, 0]
    for end in ends:
        assert end.out or "another process is running" in end.err
    results = [end.json for end in ends if end.out]
    assert results
    assert all(result == results[0] for result in results)
    assert_same_run(tmp_path, undisturbed("dcgan"))


@pytest.fixture
def _another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has nothing in common with others but the folder, and is soon through with waiting."""
    monkeypatch.setenv("GANBENCH_LEASE_SECONDS", "0.6")
    monkeypatch.setattr(lease, "_kernel", lambda: "0123456789ab")


@pytest.mark.usefixtures("_another_machine")
def test_a_run_that_lives_on_another_machine_is_left_alone(undisturbed: RunOf, tmp_path: Path) -> None:
    arguments = command("dcgan", tmp_path, "--budget", "100000steps", "--set", "evaluation.every=50000steps")
    with launched(*arguments) as first:
        wait_until(lambda: any(tmp_path.glob("runs/*/metrics.jsonl")), first)
        second = train("dcgan", tmp_path, "--budget", "100000steps", "--set", "evaluation.every=50000steps")
        assert second.code == 0
        assert "waiting up to 0.6 s for a sign of life from" in second.err
        assert "another process is running" in second.err
        assert first.poll() is None


@pytest.mark.usefixtures("_another_machine")
@pytest.mark.parametrize(
    ("reached", "wakes"),
    [
        ("metrics.jsonl", "while the other trains"),
        ("checkpoints/step-*2.pt", "while the other trains"),
        ("checkpoints/step-*6.pt", "when the other is done"),
    ],
)
def test_a_halted_holder_that_was_followed_stops_and_corrupts_nothing(
    reached: str, wakes: str, undisturbed: RunOf, tmp_path: Path
) -> None:
    with launched(*command("dcgan", tmp_path)) as first:
        wait_until(lambda: any(tmp_path.glob(f"runs/*/{reached}")), first)
        os.kill(first.pid, signal.SIGSTOP)

        def wake_and_wait() -> None:
            first.send_signal(signal.SIGCONT)
            first.wait()

        with at_step(4, wake_and_wait) if wakes == "while the other trains" else contextlib.nullcontext():
            second = train("dcgan", tmp_path)
        first.send_signal(signal.SIGCONT)
        end = outcome(first)
    assert second.code == 0, second.err
    assert (end.code, end.out) == (1, "")
    assert end.err.splitlines()[-1].startswith(f"ganbench: another process has taken over {run_folder(tmp_path)}")
    assert_same_run(tmp_path, undisturbed("dcgan"))
    assert [attempt.ended for attempt in read_attempts(run_folder(tmp_path))] == ["killed", "done"]
