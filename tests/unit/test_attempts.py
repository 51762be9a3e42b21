"""The record of who worked on a run, and how each of them ended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ganbench.attempts import Attempt, read_attempts, recorded_attempt, wasted_seconds
from ganbench.errors import GanbenchError
from ganbench.planning import plan
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.spec import RunSpec
from ganbench.store import RunFolder
from ganbench.suites import load_suite
from ganbench.train import Interrupted


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    book = RecipeBook()
    suite = load_suite(book, "losses")
    return plan(suite, "quick", Registry.discover(), book, [0], (), suite.rows[:1])[0].specs[0]


@pytest.fixture
def folder(spec: RunSpec, tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path, spec)
    made.create()
    return made


def test_a_run_without_attempts_has_none(folder: RunFolder) -> None:
    assert read_attempts(folder.path) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, "done"),
        (Interrupted("stop"), "interrupted"),
        (GanbenchError("no"), "failed"),
        (ValueError("bug"), "failed"),
        (KeyboardInterrupt(), "failed"),
    ],
)
def test_every_end_is_told(error: BaseException | None, told: str, folder: RunFolder) -> None:
    def attempt() -> None:
        with recorded_attempt(folder):
            (during,) = read_attempts(folder.path)
            assert (during.pid, during.ended, during.seconds) == (os.getpid(), None, None)
            if error is not None:
                raise error

    if error is None:
        attempt()
    else:
        with pytest.raises(type(error)):
            attempt()
    (after,) = read_attempts(folder.path)
    assert after.ended == told
    assert after.seconds is not None
    assert after.seconds >= 0


def leave_torn(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"event": "e')


@pytest.mark.parametrize("damage", [lambda path: None, leave_torn])
def test_who_was_killed_is_told_by_the_next(damage: Callable[[Path], None], folder: RunFolder) -> None:
    row = {"event": "start", "time": 1000.0, "host": "there", "pid": 7}
    folder.attempts.write_text(json.dumps(row) + "\n")
    damage(folder.attempts)
    folder.metrics.write_text("")
    folder.log.write_text("of the next process")
    os.utime(folder.attempts, (1000.0, 1000.0))
    os.utime(folder.metrics, (1042.0, 1042.0))
    assert [attempt.ended for attempt in read_attempts(folder.path)] == [None]
    with recorded_attempt(folder):
        pass
    killed, own = read_attempts(folder.path)
    assert (killed.host, killed.pid, killed.ended, killed.seconds) == ("there", 7, "killed", 42.0)
    assert own.ended == "done"


def test_what_a_checkpoint_kept_is_told_at_every_end(folder: RunFolder) -> None:
    rows = [{"step": s, "train_seconds": s / 2, "evaluation_seconds": 1.0} for s in (2, 4, 6)]
    folder.timing.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    folder.attempts.write_text('{"event": "start", "time": 1000.0, "host": "there", "pid": 7}\n')
    (folder.checkpoints / "step-000000004.pt").touch()
    with recorded_attempt(folder):
        (folder.checkpoints / "step-000000006.pt").touch()
    assert [attempt.kept for attempt in read_attempts(folder.path)] == [3.0, 4.0]


def ended(how: str | None, seconds: float | None, kept: float | None) -> Attempt:
    return Attempt(0.0, "here", 1, how, seconds, kept)


@pytest.mark.parametrize(
    ("attempts", "wasted"),
    [
        ([], 0),
        ([ended("done", 100.0, None)], 0),
        ([ended("killed", 30.0, 20.0), ended("interrupted", 15.0, 32.0), ended("done", 9.0, 40.0)], 10 + 3),
        ([ended("killed", 30.0, 20.0), ended("failed", 15.0, 5.0), ended(None, None, None)], 10 + 30),
        ([ended("killed", 1.0, 20.0), ended("done", 9.0, 40.0)], 0),
        ([ended("killed", 30.0, None), ended("done", 9.0, 40.0)], None),
    ],
)
def test_wasted_is_what_was_not_kept(attempts: list[Attempt], wasted: float | None) -> None:
    assert wasted_seconds(attempts) == wasted
