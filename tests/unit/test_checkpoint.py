"""Checkpoints are verified before they are loaded, and the newest are kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from harness import assert_same_tensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganbench.checkpoint import Checkpoints

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
