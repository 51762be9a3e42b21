"""Whether a run's steps are compiled, where a trial is to decide."""

from __future__ import annotations

import copy

import pytest
import torch
from harness import assert_same_tensors
from torch import nn

from ganbench.bench.subject import own_trainer
from ganbench.compiling import CompileError, compile_networks, faster_compiled
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.train_step import Trainer


@pytest.fixture
def trainer() -> Trainer:
    asked = {"seed": 0, "batch": 4, "architecture": {"width": 4}}
    resolved = resolve(Registry.discover(), RecipeBook(), "dcgan", "quick", [asked])
    return own_trainer(resolved.spec, resolved.entries, torch.device("cpu"))


def not_here(network: nn.Module, **_: object) -> None:
    """In the place of ``nn.Module.compile`` on a machine that lacks what it needs, which the first call finds out."""

    def call(*_: object) -> None:
        raise RuntimeError("no compiler\nand a long story")

    network._compiled_call_impl = call


def test_where_nothing_can_be_compiled_a_trial_says_so_and_the_steps_stay_as_they_are(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.Module, "compile", not_here)
    before, said = copy.deepcopy(trainer.state()), []
    assert faster_compiled(trainer, said.append) is False
    assert said == ["not compiled: the networks could not be compiled (no compiler): use --no-compile"]
    assert_same_tensors(trainer.state(), before)
    trainer.step(0, 0.0)


def test_where_it_was_asked_for_it_is_an_error(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", not_here)
    with pytest.raises(CompileError, match=r"no compiler\): use --no-compile"):
        compile_networks(trainer)


def test_a_trial_tells_the_ratio_that_it_decides_by(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", lambda network, **_: None)
    monkeypatch.setattr("ganbench.compiling.time_in_turn", lambda steppers, pairs: [[3.0] * pairs, [2.0] * pairs])
    said: list[str] = []
    assert faster_compiled(trainer, said.append) is True
    assert said == ["compiled steps are 1.50 times as fast in a trial: compiled"]
