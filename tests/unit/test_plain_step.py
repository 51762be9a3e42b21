"""The fast training step computes what the plain one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm

from ganbench.bench.plain import HostBatches
from ganbench.bench.subject import noise, own_trainer, plain_trainer
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import Resolved, resolve
from ganbench.train_step import Trainer
from ganbench.zoo.normalizer.spectral import SpectralNorm

CPU = torch.device("cpu")
STEPS = 10


def small(model: str, **changes: Any) -> Resolved:
    asked = {"seed": 1, "batch": 8, "architecture": {"width": 8}, **changes}
    return resolve(Registry.discover(), RecipeBook(), model, "quick", [asked])


def in_float64(trainer: Trainer) -> None:
    """Networks, draws, images and optimizers in double precision."""

    def widen(call: Callable[..., tuple[Tensor, Any]]) -> Callable[..., tuple[Tensor, Any]]:
        def widened(*arguments: Any) -> tuple[Tensor, Any]:
            first, second = call(*arguments)
            return first.double(), second

        return widened

    for network in (trainer.generator, trainer.discriminator, trainer.ema.module):
        network.double()
    trainer.batches, trainer._draw = widen(trainer.batches), widen(trainer._draw)
    for name, network in (("optimizer_g", trainer.generator), ("optimizer_d", trainer.discriminator)):
        setattr(trainer, name, trainer._optimizer(network, getattr(trainer, name).param_groups[0]["lr"]))


def difference(one: nn.Module, other: nn.Module) -> float:
    """Of all weights, relative to their norm."""
    ours, theirs = (torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (one, other))
    return float((ours - theirs).norm() / theirs.norm())


def both_after(resolved: Resolved, prepare: Callable[[Trainer], None]) -> list[float]:
    trainers = [make(resolved.spec, resolved.entries, CPU) for make in (own_trainer, plain_trainer)]
    for trainer in trainers:
        prepare(trainer)
        for step in range(STEPS):
            trainer.step(step, 0.0)
    ours, plain = trainers
    return [difference(ours.generator, plain.generator), difference(ours.discriminator, plain.discriminator)]


@pytest.mark.parametrize("model", ["sagan", "sngan", "dcgan", "biggan", "wgan-gp"])
def test_after_ten_steps_in_float64_the_weights_are_the_same(model: str) -> None:
    assert max(both_after(small(model), in_float64)) < 1e-9


def descend(trainer: Trainer) -> None:
    """Plain descent in place of Adam, which makes whole steps of the rounding of gradients that are near zero."""
    trainer.optimizer_g = torch.optim.SGD(trainer.generator.parameters(), 1e-3)
    trainer.optimizer_d = torch.optim.SGD(trainer.discriminator.parameters(), 1e-3)
    trainer.learning_rates = lambda progress: None  # type: ignore[method-assign]


@pytest.mark.parametrize("model", ["sagan", "sngan", "dcgan"])
def test_after_ten_steps_in_float32_they_differ_by_rounding(model: str) -> None:
    assert max(both_after(small(model), descend)) < 1e-4


def test_the_plain_form_is_plain() -> None:
    resolved = small("sagan", precision="bf16")
    ours, plain = (make(resolved.spec, resolved.entries, CPU) for make in (own_trainer, plain_trainer))
    kinds = [{type(m) for m in trainer.discriminator.modules()} for trainer in (ours, plain)]
    assert SpectralNorm in kinds[0] - kinds[1]
    assert _SpectralNorm in kinds[1] - kinds[0]
    assert [trainer.spec.precision for trainer in (ours, plain)] == ["bf16", "fp32"]
    weights = [trainer.discriminator.blocks[0].conv1.weight for trainer in (ours, plain)]
    assert [w.is_contiguous() for w in weights] == [False, True]
    assert [trainer.optimizer_d.defaults["fused"] for trainer in (ours, plain)] == [True, None]


def test_plain_batches_are_those_of_the_run_and_come_in_order() -> None:
    resolved = small("dcgan")
    ours, plain = (make(resolved.spec, resolved.entries, CPU) for make in (own_trainer, plain_trainer))
    for step in range(3):
        for one, other in zip(ours.batches(step), plain.batches(step), strict=True):
            torch.testing.assert_close(one, other)
    with pytest.raises(ValueError, match="batch 7 was asked for after batch 2"):
        plain.batches(7)
    assert isinstance(plain.batches, HostBatches)
    assert noise(resolved.spec).images.dtype == torch.uint8
