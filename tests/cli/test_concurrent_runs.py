"""Two processes that start the same spec: one runs, the other says so, and nothing is corrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness import assert_same_run, command, launched, outcome, train, tree, wait_until

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
