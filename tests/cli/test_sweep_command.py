"""Sweeps with real processes: from nothing, killed at any moment, from two terminals; and what is refused."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import (
    DEADLINE,
    Outcome,
    assert_same_folder,
    call,
    launched,
    outcome,
    shell,
    wait_until,
)
from sweeps import at_work, attempts, grids, runs, toy_sweep

from ganbench.attempts import read_attempts
from ganbench.lease import Lease

ROWS = ("dcgan", "spectral", "wild")
Sweep = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The arguments of a sweep of toy runs into a results folder."""
    root = tmp_path_factory.mktemp("registry")
    fixed = toy_sweep(root, seeds=1)
    return lambda results: [*fixed, "--results", str(results), "--device", "cpu", "--jobs", "2"]


@pytest.fixture(scope="module")
def undisturbed(sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[Path, Outcome]]:
    """The results folder of a sweep that nothing disturbed, made once, and how the command ended."""
    made: list[tuple[Path, Outcome]] = []

    def of() -> tuple[Path, Outcome]:
        if not made:
            results = tmp_path_factory.mktemp("undisturbed")
            made.append((results, shell(*sweep(results), "--json")))
        return made[0]

    return of


@pytest.mark.slow
def test_a_sweep_from_nothing_trains_every_row_and_goes_on_where_one_diverges(
    sweep: Sweep, undisturbed: Callable[[], tuple[Path, Outcome]]
) -> None:
    results, end = undisturbed()
    assert end.code == 0, end.err
    rows = {row["row"]: row for row in end.json["rows"]}
    assert "has no feature map 32" in rows["far"]["absent"]
    states = {name: [run["state"] for run in rows[name]["runs"]] for name in ROWS}
    assert states == {name: ["diverged" if name == "wild" else "finished"] for name in ROWS}
    assert len(runs(results)) == 3
    assert [attempt.ended for attempt in attempts(results)] == ["done"] * 3
    for row in (rows[name]["runs"][0] for name in ROWS):
        folder = Path(row["path"])
        assert folder == runs(results)[folder.name]
        assert json.loads((folder / "result.json").read_text())["run_id"] == row["run_id"]
        assert "finished" in (folder / "log.txt").read_text() or row["state"] == "diverged"
    again = call(*sweep(results))
    assert again.code == 0
    assert "3 runs, all done" in again.err
    assert "begins" not in again.err
    assert "wild      1 diverged" in again.out
    assert len(attempts(results)) == 3


def wait_for_a_moment(results: Path, draw: random.Random, process: subprocess.Popen[str], gone: set[int]) -> None:
    """Until the runs have come a drawn number of evaluations further, and one is at work."""
    goal = grids(results) + draw.randint(1, 3)
    wait_until(lambda: grids(results) >= goal and bool(at_work(results, gone)), process)


def wait_until_nobody_trains(results: Path) -> None:
    """A process's claim on its run ends with it."""
    for folder in runs(results).values():
        lease, deadline = Lease(folder), time.monotonic() + DEADLINE
        while not lease.claim():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        lease.give_back()


@pytest.mark.slow
def test_interrupted_and_then_from_two_terminals_it_ends_as_if_undisturbed(
    sweep: Sweep, undisturbed: Callable[[], tuple[Path, Outcome]], tmp_path: Path
) -> None:
    results, draw, gone = tmp_path / "results", random.Random(20), set[int]()
    (results / "runs").mkdir(parents=True)
    arguments = sweep(results)

    with launched(*arguments) as process:  # Ctrl-C: two runs at most
        wait_for_a_moment(results, draw, process, gone)
        process.send_signal(signal.SIGINT)
        stopped = outcome(process)
    assert stopped.code == 130
    assert stopped.out == ""
    assert "of 3 runs done: the same command goes on from there" in stopped.err.splitlines()[-1]
    wait_until_nobody_trains(results)
    gone.update(at_work(results, gone))

    with contextlib.ExitStack() as stack:  # the rest, from two terminals
        one = stack.enter_context(launched(*arguments))
        wait_until(lambda: bool(at_work(results, gone)), one)
        other = stack.enter_context(launched(*arguments))
        assert [outcome(terminal).code for terminal in (one, other)] == [0, 0]

    undisturbed_results, _ = undisturbed()
    assert runs(results).keys() == runs(undisturbed_results).keys()
    for name, folder in runs(results).items():
        assert [attempt.ended for attempt in read_attempts(folder)].count("done") == 1
        if json.loads((folder / "result.json").read_text())["status"] == "finished":
            assert_same_folder(folder, runs(undisturbed_results)[name])
        else:
            assert (folder / "metrics.jsonl").read_bytes() == (
                runs(undisturbed_results)[name] / "metrics.jsonl"
            ).read_bytes()
    started = len(attempts(results))
    assert 3 < started <= 3 + 2
    assert {attempt.ended for attempt in attempts(results)} == {"done", "interrupted"}
    assert all(attempt.seconds is not None and attempt.seconds >= 0 for attempt in attempts(results))
    assert call(*arguments).code == 0
    assert len(attempts(results)) == started


def test_a_dry_run_tells_what_would_be_done_and_trains_nothing(sweep: Sweep, tmp_path: Path) -> None:
    told = call(*sweep(tmp_path / "results"), "--dry-run", "--rows", "wild,dcgan", "--rows", "far")
    assert told.code == 0
    lines = [line.strip() for line in told.out.splitlines()]
    assert lines == [
        "Toys (toys, profile quick)",
        "dcgan  1 run of 120steps, 0 done, time unknown of 1",
        "wild   1 run of 120steps, 0 done, time unknown of 1",
        "far    not in this profile: the generator of 'dcgan' at 32 px has no feature map 32; it has 4, 8, 16",
        "2 runs, 0 done; to do: 1.92 kimg, time unknown of 2 with 2 at a time",
    ]
    assert not (tmp_path / "results").exists()
    asked = [*sweep(tmp_path / "results"), "--seeds", "3", "--budget", "2kimg", "--set", "batch=16"]
    document = call(*asked, "--dry-run", "--json").json
    assert [len(row["runs"]) for row in document["rows"]] == [3, 3, 3, 0]
    assert document["to_do"] == {"images": 3 * 3 * 2000, "seconds": None, "gpu_hours": None, "rough": False}
    assert len({run["run_id"] for row in document["rows"] for run in row["runs"]}) == 9


def test_a_dry_run_without_the_data_still_tells_the_plan(tmp_path: Path) -> None:
    told = call("sweep", "sagan-table1", "--profile", "paper", "--dry-run", "--results", tmp_path)
    assert told.code == 0
    assert "What is done cannot be told without." in told.err
    assert "27 runs, 0 done; to do: 6.912e+06 kimg" in told.out
    assert call("sweep", "sagan-table1", "--profile", "paper", "--results", tmp_path).code == 3


def test_what_was_run_before_tells_how_long_it_will_take(
    sweep: Sweep, undisturbed: Callable[[], tuple[Path, Outcome]]
) -> None:
    results, _ = undisturbed()
    document: Any = call(*sweep(results), "--seeds", "2", "--rows", "dcgan,spectral", "--dry-run", "--json").json
    assert [[run["state"] for run in row["runs"]] for row in document["rows"]] == [["finished", "waiting"]] * 2
    assert document["to_do"]["images"] == 2 * 960
    assert 0 < document["to_do"]["seconds"] < 600
    assert document["to_do"]["seconds"] == pytest.approx(sum(row["seconds"] for row in document["rows"]))
    assert not document["to_do"]["rough"]


def test_runs_that_are_unlike_what_was_run_are_told_roughly(
    sweep: Sweep, undisturbed: Callable[[], tuple[Path, Outcome]]
) -> None:
    results, _ = undisturbed()
    asked = [*sweep(results), "--rows", "dcgan,spectral", "--set", "architecture.width=8", "--dry-run"]
    told = call(*asked)
    assert told.code == 0
    assert told.out.count("(by the FLOP/s of other runs)") == 3
    like = call(*sweep(results), "--rows", "dcgan,spectral", "--seeds", "2", "--dry-run", "--json").json["to_do"]
    rough = call(*asked, "--json").json["to_do"]
    assert rough["rough"]
    assert like["seconds"] < rough["seconds"] < 100 * like["seconds"]


REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "an unknown suite": (["tois"], ["unknown suite 'tois'", "toys", "ganbench list suite"]),
    "an unknown row": (["toys", "--rows", "dcgan,wld"], ["unknown row of toys 'wld'", "wild"]),
    "an unknown profile": (["toys", "--profile", "quik"], ["unknown profile of toys 'quik'", "quick"]),
    "no seeds": (["toys", "--seeds", "0"], ["--seeds"]),
    "no jobs": (["toys", "--jobs", "0"], ["--jobs"]),
    "no suite": ([], ["SUITE"]),
    "a budget of nothing": (["toys", "--budget", "0kimg"], ["budget"]),
    "a budget that is not matched": (["toys", "--budget", "10min"], ["matches real_images", "--budget 64kimg"]),
    "an unknown key": (["toys", "--set", "los=hinge"], ["with your overrides", "los"]),
    "an unknown executor": (["toys", "--executor", "lokal"], ["unknown executor 'lokal'", "did you mean local"]),
    "an option of another executor": (["toys", "--partition", "gpu"], ["executor takes no options", "'partition'"]),
    "an unknown option": (["toys", "--executor", "ray", "--executor-set", "adress=auto"], ["executor.address"]),
    "an option out of range": (["toys", "--executor", "slurm", "--executor-set", "cpus_per_run=0"], ["cpus_per_run"]),
    "no such device": (["toys", "--device", "cuda:77"], ["--device cuda:77"]),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(why: str, sweep: Sweep, tmp_path: Path) -> None:
    arguments, fragments = REFUSED[why]
    _, _, *rest = sweep(tmp_path)
    refused = call("sweep", *rest, *arguments)
    assert refused.code == 2
    for fragment in fragments:
        assert fragment in refused.complaint


def test_a_results_folder_with_other_things_is_no_obstacle(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "spec.json").write_text('{"model": "of another age"}')
    told = call(*sweep(tmp_path), "--dry-run", "--json")
    assert told.code == 0
    assert "warning: not a run, left alone" in told.err
    assert str(tmp_path / "runs" / "old") in told.json["foreign"][0]


def test_suites_and_papers_are_listed(sweep: Sweep) -> None:
    registry = sweep(Path())[5]
    listed = {row["name"]: row for row in call("list", "suite", "--registry", registry, "--json").json}
    assert {"toys", "sagan-table1", "baselines"} <= set(listed)
    assert listed["toys"]["about"] == "for a test"
    assert [row["name"] for row in call("list", "paper", "--json").json] == ["sagan"]
    assert "attention-variants" in call("list").out
