"""A run whose batches are gathered from a file by a thread is the run from memory, to the last bit."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from harness import assert_same_run, at_step, interrupt, load, newest, run_folder, train

import ganbench.batches

STREAMED = ["--dataset", "filed-digits", "--set", "dataset.file=digits.npy"]
# Five batches are an epoch. G's loss asks for D's last batch again.
ARGUMENTS = ["--loss", "relativistic-hinge", "--set", "n_dis=2"]
LABELLED = ["--set", "flip=true", "--set", "fake_labels=empirical"]


@pytest.fixture(autouse=True)
def _no_file_is_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ganbench.batches, "FILE_BYTES", 0)


def no_thread() -> bool:
    return not any(thread.name.startswith("batches") for thread in threading.enumerate())


def metrics(results: Path) -> str:
    """All rows to the last digit, but for the protocol's id: it names the data set."""
    rows = [json.loads(line) for line in (run_folder(results) / "metrics.jsonl").read_text().splitlines()]
    return json.dumps([{key: value for key, value in row.items() if key != "protocol_id"} for row in rows])


def test_a_run_from_a_file_is_the_run_from_memory(tmp_path: Path) -> None:
    found = {}
    for name, more in (
        ("memory", LABELLED),
        ("file", [*LABELLED, *STREAMED]),
        ("unmirrored", LABELLED[2:]),
        ("uniform", LABELLED[:2]),
    ):
        assert train("sagan", tmp_path / name, *ARGUMENTS, *more).code == 0
        found[name] = metrics(tmp_path / name)
    assert found["memory"] == found["file"]
    assert len(set(found.values())) == 3
    assert no_thread()


def test_a_streamed_run_goes_on_in_the_midst_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (*ARGUMENTS, *STREAMED, "--set", "flip=true")
    with at_step(2, interrupt):
        assert train("sagan", tmp_path / "stopped", *arguments).code == 130
    assert no_thread()
    waited = load(newest(run_folder(tmp_path / "stopped")))["data_wait_seconds"]
    end = train("sagan", tmp_path / "stopped", *arguments)
    assert 0 < waited < end.json["cost"]["data_wait_seconds"] < end.json["counters"]["train_seconds"]
    monkeypatch.setattr(ganbench.batches, "FILE_BYTES", 2**20)
    assert train("sagan", tmp_path / "whole", *arguments).code == 0
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


def test_a_file_that_is_cut_while_it_trains_ends_the_run_in_one_line(tmp_path: Path) -> None:
    with at_step(2, lambda: os.truncate("digits.npy", 1000)):
        end = train("sagan", tmp_path / "cut", *ARGUMENTS, *STREAMED)
    assert end.code == 3
    assert "ganbench: digits.npy became shorter while it was read: make it anew" in end.err.splitlines()
    assert "Traceback" not in end.err
    failure = json.loads((run_folder(tmp_path / "cut") / "failure.json").read_text())
    assert failure["error"].startswith("MissingError: digits.npy became shorter")
    assert no_thread()
