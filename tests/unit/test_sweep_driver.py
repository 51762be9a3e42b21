"""The driver over an executor that only pretends: what it starts, tries again, waits for and gives up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import TOY_PLUGIN

from ganbench.errors import DONE, FAILED, MISSING, USAGE
from ganbench.lease import Lease
from ganbench.planning import plan
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import reopen
from ganbench.spec import RunSpec
from ganbench.store import RESULT_SCHEMA, RunFolder, load_runs, write_json
from ganbench.suites import PlannedRow, load_suite
from ganbench.sweep import driver as driver_module
from ganbench.sweep.driver import Driver
from ganbench.sweep.estimate import Estimator, images, spoken
from ganbench.sweep.executor import Job
from ganbench.sweep.runs import SweptRun, swept_runs
from ganbench.sweep.sweep import Price
from ganbench.sweep.view import LineView, LiveView, Overall
from ganbench.sweep.work import imagined_flops
from ganbench.train import Interrupted

Behaviour = Callable[[RunFolder], int]
"""What a process does to its folder in one go, and its exit code."""


@pytest.fixture(scope="module")
def rows() -> list[PlannedRow]:
    book = RecipeBook()
    suite = load_suite(book, "losses")
    return plan(suite, "quick", Registry.discover(), book, [0, 1], (), suite.rows[:2])


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(driver_module, "ELSEWHERE_SECONDS", 0.0)


def finish(folder: RunFolder, status: str = "finished") -> None:
    """Leave a result as a run does."""
    write_json(
        folder.result,
        {
            "schema": RESULT_SCHEMA,
            "run_id": folder.spec.run_id,
            "status": status,
            "cost": {"images_per_second": 100.0, "evaluation_seconds": 45.0},
        },
    )


def succeeds(folder: RunFolder) -> int:
    finish(folder)
    return DONE


class Pretender:
    """Runs end when they are polled for the second time; each start takes the next behaviour of its run."""

    def __init__(self, slots: int, behaviours: dict[str, list[Behaviour]] | None = None) -> None:
        self.slots = slots
        self.behaviours = behaviours or {}
        self.started: list[str] = []
        self.cancelled: list[bool] = []
        self.collected = 0
        self.most = self._now = 0
        self.closed = False

    def submit(self, job: Job) -> dict[str, Any]:
        self.started.append(job.folder.spec.run_id)
        self._now += 1
        self.most = max(self.most, self._now)
        return {"folder": job.folder, "polls": 0}

    def poll(self, handle: dict[str, Any]) -> int | None:
        handle["polls"] += 1
        if handle["polls"] < 2:
            return None
        self._now -= 1
        folder = handle["folder"]
        waiting = self.behaviours.get(folder.spec.run_id, [])
        return (waiting.pop(0) if waiting else succeeds)(folder)

    def cancel(self, handle: dict[str, Any], *, at_once: bool = False) -> None:
        self.cancelled.append(at_once)

    def collect(self, handle: dict[str, Any]) -> None:
        self.collected += 1

    def close(self) -> None:
        self.closed = True


def drive(runs: list[SweptRun], executor: Pretender, retries: int = 2) -> Driver:
    estimator = Estimator()
    view = LineView(Overall(runs, executor.slots, estimator))
    return Driver(executor, runs, ("--device", "cpu"), retries, view, estimator)


def test_every_run_is_started_once_first_seeds_first_and_never_more_than_fit(
    rows: list[PlannedRow], tmp_path: Path
) -> None:
    runs, executor = swept_runs(rows, tmp_path), Pretender(slots=2)
    drive(runs, executor).execute()
    assert [run.seed for run in runs] == [0, 0, 1, 1]
    assert executor.started == [run.folder.spec.run_id for run in runs]
    assert (executor.most, executor.collected, executor.closed) == (2, 4, True)
    assert [run.state for run in runs] == ["finished"] * 4
    again = swept_runs(rows, tmp_path)
    assert all(run.done for run in again)
    other = Pretender(slots=2)
    drive(again, other).execute()
    assert other.started == []


def dies(how: int) -> Behaviour:
    return lambda folder: how


@pytest.mark.parametrize(
    ("code", "starts", "told"),
    [
        (-signal.SIGKILL, 3, "its process ended by SIGKILL; trying again (1 of 2)"),
        (FAILED, 3, "its process ended with exit code 1; trying again (2 of 2)"),
        (130, 3, "exit code 130"),
        (USAGE, 1, "failed: the last words"),
        (MISSING, 1, "failed: the last words"),
    ],
)
def test_what_died_is_tried_again_and_an_error_is_told(
    code: int, starts: int, told: str, rows: list[PlannedRow], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = swept_runs(rows[:1], tmp_path)
    bad, good = runs

    def fails(folder: RunFolder) -> int:
        folder.log.write_text("one line\nganbench: the last words\n")
        return code

    executor = Pretender(1, {bad.folder.spec.run_id: [fails] * 5})
    drive(runs, executor).execute()
    assert executor.started.count(bad.folder.spec.run_id) == starts
    assert (bad.state, good.state) == ("failed", "finished")
    assert "the last words" in bad.message
    err = capsys.readouterr().err
    assert told in err
    assert str(bad.folder.log) in err


def test_a_run_that_died_and_then_ends_well_is_done(rows: list[PlannedRow], tmp_path: Path) -> None:
    (run, *_) = runs = swept_runs(rows[:1], tmp_path)
    executor = Pretender(1, {run.folder.spec.run_id: [dies(-9), dies(-15)]})
    drive(runs, executor).execute()
    assert (run.state, run.died) == ("finished", 2)


def test_a_result_counts_and_no_exit_code(rows: list[PlannedRow], tmp_path: Path) -> None:
    def finishes_and_dies(folder: RunFolder) -> int:
        finish(folder)
        return -9

    def diverges(folder: RunFolder) -> int:
        finish(folder, "diverged")
        return 4

    runs = swept_runs(rows, tmp_path)
    behaviours = {runs[0].folder.spec.run_id: [finishes_and_dies], runs[1].folder.spec.run_id: [diverges]}
    executor = Pretender(2, behaviours)
    drive(runs, executor).execute()
    assert [run.state for run in runs] == ["finished", "diverged", "finished", "finished"]
    assert len(executor.started) == 4


def test_a_run_that_another_process_has_is_waited_for_and_not_run_twice(rows: list[PlannedRow], tmp_path: Path) -> None:
    (run, *_) = runs = swept_runs(rows[:1], tmp_path)
    run.folder.create()
    other = Lease(run.folder.path)
    assert other.claim()

    def ends_while_the_other_ends_too(folder: RunFolder) -> int:
        finish(run.folder)
        other.give_back()
        return succeeds(folder)

    executor = Pretender(1, {runs[1].folder.spec.run_id: [ends_while_the_other_ends_too]})
    drive(runs, executor).execute()
    assert executor.started == [runs[1].folder.spec.run_id]
    assert [each.state for each in runs] == ["finished", "finished"]


def test_a_run_that_another_process_lost_is_taken_over(rows: list[PlannedRow], tmp_path: Path) -> None:
    (run, *_) = runs = swept_runs(rows[:1], tmp_path)
    executor = Pretender(1, {run.folder.spec.run_id: [dies(DONE)]})  # another was faster, and is gone by now
    drive(runs, executor).execute()
    assert executor.started.count(run.folder.spec.run_id) == 2
    assert (run.state, run.died) == ("finished", 0)


def test_a_run_whose_holder_on_another_machine_fell_silent_is_taken_over(
    rows: list[PlannedRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANBENCH_LEASE_SECONDS", "0.2")
    (run, *_) = runs = swept_runs(rows[:1], tmp_path)
    run.folder.create()
    (run.folder.path / "lease" / "far-away.0123456789ab.17.4711.abcdef").mkdir(parents=True)
    executor = Pretender(1)
    drive(runs, executor).execute()
    assert executor.started == [runs[1].folder.spec.run_id, run.folder.spec.run_id]
    assert f"{run.name}: another process has it" in capsys.readouterr().err
    assert [each.state for each in runs] == ["finished", "finished"]


def test_a_folder_that_holds_something_else_fails_alone(rows: list[PlannedRow], tmp_path: Path) -> None:
    runs = swept_runs(rows[:1], tmp_path)
    runs[0].folder.create()
    other = runs[1].folder.spec.model_dump(mode="json")
    write_json(runs[0].folder.spec_file, other)
    drive(runs, Pretender(2)).execute()
    assert [run.state for run in runs] == ["failed", "finished"]
    assert "move that folder away" in runs[0].message


def test_a_result_of_an_older_layout_is_told_from_the_start(rows: list[PlannedRow], tmp_path: Path) -> None:
    (run, *_) = swept_runs(rows[:1], tmp_path)
    run.folder.create()
    write_json(run.folder.result, {"schema": 0})
    old, new = runs = swept_runs(rows[:1], tmp_path)
    assert old.state == "failed"
    assert "is not a result of this version of ganbench: move it away" in old.message
    drive(runs, Pretender(2)).execute()
    assert (old.state, new.state) == ("failed", "finished")


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_runs_save_and_says_how_to_go_on(
    which: signal.Signals, rows: list[PlannedRow], tmp_path: Path
) -> None:
    runs = swept_runs(rows, tmp_path)

    def signalled(folder: RunFolder) -> int:
        os.kill(os.getpid(), which)
        return succeeds(folder)

    executor = Pretender(2, {runs[0].folder.spec.run_id: [signalled], runs[1].folder.spec.run_id: [dies(130)] * 9})
    with pytest.raises(Interrupted, match=r"interrupted with 1 of 4 runs done: the same command goes on"):
        drive(runs, executor).execute()
    assert executor.cancelled == [False] * len(executor.cancelled)
    assert executor.closed
    assert [run.state for run in runs[:2]] == ["finished", "waiting"]


def test_an_unforeseen_error_leaves_no_run_behind(rows: list[PlannedRow], tmp_path: Path) -> None:
    def broken(folder: RunFolder) -> int:
        raise RuntimeError("bug")

    runs = swept_runs(rows, tmp_path)
    executor = Pretender(2, {runs[0].folder.spec.run_id: [broken]})
    with pytest.raises(RuntimeError, match="bug"):
        drive(runs, executor).execute()
    assert executor.cancelled == [True, True]
    assert executor.closed


@pytest.fixture
def spec(rows: list[PlannedRow]) -> RunSpec:
    return rows[0].specs[0]


def test_time_is_estimated_from_like_runs_and_else_unknown(spec: RunSpec, rows: list[PlannedRow]) -> None:
    every = spec.evaluation.every.model_copy(update={"amount": 4_000.0})
    spec = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"every": every})})
    estimator = Estimator()
    assert estimator.seconds(spec) is None
    estimator.learn(spec, {"cost": {"images_per_second": 100.0, "evaluation_seconds": 45.0}})
    assert images(spec) == 12_000
    assert estimator.seconds(spec) == pytest.approx(120 + 45)
    assert estimator.seconds(spec.model_copy(update={"seed": 9})) == pytest.approx(120 + 45)
    assert estimator.seconds(rows[1].specs[0]) is None  # another loss: it may cost more
    # Six times the images, and 19 evaluations with the final two in place of 4 and 2, each of 900 samples.
    longer = spec.model_copy(update={"budget": spec.budget.model_copy(update={"amount": 72_000.0})})
    assert estimator.seconds(longer) == pytest.approx(720 + 45 * (19 + 2) / (4 + 2))
    timed = spec.budget.model_copy(update={"counter": "train_seconds"})
    assert estimator.seconds(spec.model_copy(update={"budget": timed})) is None


def test_time_is_estimated_roughly_by_the_nearest_work_on_the_device_that_most_runs_were_made_on(
    spec: RunSpec, tmp_path: Path
) -> None:
    def made(batch: int, flops: float, speed: float, device: str) -> None:
        folder = tmp_path / f"{batch}"
        folder.mkdir()
        write_json(folder / "env.json", {"device": device, "device_name": device})
        cost = {"images_per_second": speed, "evaluation_seconds": 0.0, "flops_per_step": flops}
        estimator.learn(spec.model_copy(update={"batch": batch}), {"cost": cost, "path": str(folder)})

    estimator, updates = Estimator(), spec.n_dis
    assert estimator.unlike(spec, lambda: pytest.fail("nothing to compare with: not counted")) is None
    made(10, 10 * updates * 1e9, 100.0, "cuda:0")  # 1e9 FLOPs an image
    made(20, 20 * updates * 1e6, 900.0, "cuda:0")
    made(30, 30 * updates * 4e9, 999.0, "cpu")
    found = estimator.unlike(spec, lambda: round(spec.batch * updates * 4e9))
    assert found is not None
    assert (found.image_seconds, found.device, found.on_gpu) == (pytest.approx(4 / 100.0), "cuda:0", True)
    assert found.seconds(spec) == pytest.approx(12_000 * 4 / 100.0)
    assert estimator.unlike(spec, lambda: None) is None


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (Price(600, 0, 0, False), "about 10 min"),
        (Price(9000, 0, 0, True), "about 2.5 GPU-hours"),
        (Price(9000, 1, 0, True), "roughly 2.5 GPU-hours (by the FLOP/s of other runs)"),
        (Price(0, 0, 2, False), "time unknown of 2"),
        (Price(600, 0, 2, False), "time unknown of 2, of the others about 10 min"),
        (Price(600, 1, 2, False), "time unknown of 2, of the others roughly 10 min"),
    ],
)
def test_prices_are_spoken(price: Price, said: str) -> None:
    assert str(price) == said


@pytest.mark.parametrize("model", ["dcgan", "sagan", "sngan"])
def test_work_is_counted_without_doing_it(model: str, undisturbed: Callable[[str], Path]) -> None:
    (run,) = load_runs(undisturbed(model)).runs
    entries = reopen(Registry.discover([TOY_PLUGIN]), run.spec).entries
    assert imagined_flops(run.spec, entries) == run.result["cost"]["flops_per_step"]
    del entries["loss"]
    assert imagined_flops(run.spec, entries) is None


@pytest.mark.parametrize(("seconds", "said"), [(3.4, "3 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times_are_spoken(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


@pytest.fixture
def at_work(rows: list[PlannedRow], tmp_path: Path) -> Overall:
    runs = swept_runs(rows, tmp_path)
    estimator = Estimator()
    for run in runs:
        run.folder.create()
        estimator.learn(run.folder.spec, {"cost": {"images_per_second": 100.0, "evaluation_seconds": 80.0}})
    runs[0].state, runs[0].begun = "running", True
    runs[0].folder.log.write_text("run abc\n 50%  step 20  D 1.0\nsomething else\n")
    runs[1].state = "elsewhere"
    runs[2].state = "diverged"
    return Overall(runs, 2, estimator)


def test_a_view_shows_where_all_stand(
    at_work: Overall, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    line = "1 of 4 runs done, 1 running, 1 waiting, 1 elsewhere, 1 diverged, about 4 min left"
    assert str(at_work) == line  # 100, 200 and 200 seconds, two at a time
    for view in (LineView(at_work), LiveView(at_work)):
        if isinstance(view, LineView):
            view._next = 0.0
        with view:
            view.show()
            view.say("[a] said :smile: above")
        out, err = capsys.readouterr()
        assert out == ""
        assert "[a] said :smile: above" in err
    lines = LineView(at_work)
    lines.show()
    assert capsys.readouterr().err == ""
    lines._next = 0.0
    lines.show()
    assert capsys.readouterr().err.splitlines() == [line, "  hinge seed 0: 50%  step 20  D 1.0"]
