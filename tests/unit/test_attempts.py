"""The record of who worked on a run, and how each of them ended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ganbench.attempts import read_attempts, recorded_attempt
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
