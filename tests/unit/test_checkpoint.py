"""Checkpoints are verified before they are loaded, and the newest are kept."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from pathlib import Path

import pytest
import torch
from harness import assert_same_tensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganbench.checkpoint import Checkpoints, CheckpointWriter, snapshot
from ganbench.errors import StoreError

STATE = {"weights": {"w": torch.arange(6.0).reshape(2, 3)}, "step": 7, "name": "x", "none": None, "list": [1, 2.5]}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def test_what_is_saved_is_loaded(checkpoints: Checkpoints) -> None:
    path = checkpoints.save("step", 12, STATE)
    assert path.name == "step-000000012.pt"
    assert_same_tensors(checkpoints.load(path), STATE)
    digest = path.with_name("step-000000012.pt.sha256").read_text()
    assert digest == f"{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
    assert len(list(path.parent.iterdir())) == 2


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_flipped_bit_is_noticed(checkpoints: Checkpoints, position: float, bit: int) -> None:
    path = checkpoints.save("step", 1, STATE)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(content)
    assert checkpoints.load(path) is None


@given(share=st.floats(0, 1, exclude_max=True), suffix=st.sampled_from(["", ".sha256"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_at_any_byte_is_noticed_or_whole(checkpoints: Checkpoints, share: float, suffix: str) -> None:
    path = checkpoints.save("step", 1, STATE)
    cut = path.with_name(path.name + suffix)
    content = cut.read_bytes()
    kept = int(share * len(content))
    cut.write_bytes(content[:kept])
    state = checkpoints.load(path)
    if suffix and kept == len(content) - 1:  # only the line's end is gone
        assert_same_tensors(state, STATE)
    else:
        assert state is None


@pytest.mark.parametrize("suffix", ["", ".sha256"])
def test_a_missing_file_is_noticed(suffix: str, checkpoints: Checkpoints) -> None:
    path = checkpoints.save("step", 1, STATE)
    path.with_name(path.name + suffix).unlink()
    assert checkpoints.load(path) is None


@given(steps=st.sets(st.integers(0, 10**9 - 1), min_size=1, max_size=6), keep=st.integers(1, 4))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_are_kept(checkpoints: Checkpoints, steps: set[int], keep: int) -> None:
    for path in checkpoints.folder.iterdir():
        path.unlink()
    for step in steps:
        checkpoints.save("step", step, {})
    other = checkpoints.save("best", 0, {})
    checkpoints.prune("step", keep)
    expected = [checkpoints.path("step", step) for step in sorted(steps)[-keep:]]
    assert checkpoints.paths("step") == expected
    assert checkpoints.paths("best") == [other]
    digests = {path.name.removesuffix(".sha256") for path in checkpoints.folder.glob("*.sha256")}
    assert digests == {path.name for path in (*expected, other)}


def test_code_is_not_unpickled(checkpoints: Checkpoints) -> None:
    path = checkpoints.save("step", 1, {"code": print})
    with pytest.raises(Exception, match=r"[Ww]eights"):
        checkpoints.load(path)


def test_what_is_written_in_the_background_is_written_in_order_and_as_it_was_given(checkpoints: Checkpoints) -> None:
    weights, saved = torch.zeros(3), []
    with CheckpointWriter() as writer:
        for step in range(4):
            state = snapshot({"weights": weights, "rows": [weights, (step, None)]})
            writer.submit(partial(checkpoints.save, "step", step, state))
            writer.submit(partial(saved.append, step))
            weights += 1  # training goes on
    assert saved == [0, 1, 2, 3]
    for step, path in checkpoints.kept("step").items():
        expected = torch.full((3,), float(step))
        assert_same_tensors(checkpoints.load(path), {"weights": expected, "rows": [expected, (step, None)]})


def test_training_goes_on_while_a_checkpoint_is_written() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert may_end.wait(60)

    with CheckpointWriter() as writer:
        writer.submit(slow)  # and returns
        assert begun.wait(60)
        may_end.set()


@pytest.mark.parametrize("met", ["by the next", "at the end"])
def test_a_failed_write_is_told_once_to_the_one_who_trains(met: str) -> None:
    def fail() -> None:
        raise StoreError("no space left")

    after: list[int] = []

    def train() -> None:
        with CheckpointWriter() as writer:
            writer.submit(fail)
            if met == "by the next":
                writer.submit(partial(after.append, 1))

    with pytest.raises(StoreError, match="no space left"):
        train()
    assert after == []
