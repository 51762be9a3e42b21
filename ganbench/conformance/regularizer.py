"""The checks on a regularizer, against a small smooth discriminator."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.conformance.report import Broken, Check, Cost
from ganbench.options import option_model
from ganbench.penalty import Combination, DiscriminatorUpdate

_CLASSES, _TRIES = 3, 4


class _Discriminator(nn.Module):
    """[B, 3, 8, 8] and labels -> logits [B], twice differentiable."""

    def __init__(self, conditional: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.linear = nn.Linear(6, 1)
        self.classes = nn.Embedding(_CLASSES, 6) if conditional else None

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        features = torch.tanh(self.conv(x)).sum((2, 3))
        logits: Tensor = self.linear(features).squeeze(1)
        return logits if self.classes is None else logits + (self.classes(y) * features).sum(1)


class RegularizerSubject:
    """A regularizer, and updates to apply it to."""

    def __init__(self, component: Any, options: dict[str, Any]) -> None:
        self.component, self.options = component, options

    def make(self) -> Any:
        """A fresh one."""
        return self.component(**self.options)

    def update(self, conditional: bool, seed: int = 0) -> tuple[_Discriminator, DiscriminatorUpdate]:
        """A discriminator with one of its updates; from one seed always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            judge = _Discriminator(conditional)
            real, fake = torch.rand(2, 6, 3, 8, 8) * 2 - 1
            y_real, y_fake = (torch.randint(_CLASSES, (6,)) if conditional else None for _ in range(2))
        logits = judge(real, y_real), judge(fake, y_fake)
        draws = torch.Generator().manual_seed(seed)
        return judge, DiscriminatorUpdate(judge, real, fake, y_real, y_fake, *logits, draws)


def subject_of(component: Any, options: dict[str, Any]) -> RegularizerSubject:
    """The regularizer."""
    return RegularizerSubject(component, options)


def _gives_a_finite_scalar(subject: RegularizerSubject) -> None:
    for conditional in (False, True):
        penalty = subject.make()(subject.update(conditional)[1])
        if penalty.shape != () or penalty.dtype != torch.float32 or not penalty.isfinite():
            raise Broken(
                f"a finite float32 scalar, {'with' if conditional else 'without'} labels",
                f"{penalty.dtype} {list(penalty.shape)} {penalty.detach().flatten()[0].item():g}",
                "the mean over the batch is missing, or a norm at 0 without an eps",
            )


def _moves_the_discriminator(subject: RegularizerSubject) -> None:
    regularizer, moved = subject.make(), False
    for seed in range(_TRIES):  # a running average may have nothing to say at first
        judge, update = subject.update(True, seed)
        penalty = regularizer(update)
        if not penalty.requires_grad:
            continue
        penalty.backward()
        gradients = [p.grad for p in judge.parameters() if p.grad is not None]
        if not all(gradient.isfinite().all() for gradient in gradients):
            raise Broken(
                "finite gradients for the discriminator",
                "values that are not finite",
                "the norm of a gradient at 0: its square root needs an eps",
            )
        moved = moved or any(gradient.any() for gradient in gradients)
    if not moved:
        raise Broken(
            f"a gradient for the discriminator in one of {_TRIES} updates",
            "none",
            "the gradient penalized was taken without create_graph=True, or the logits were detached",
        )


def _draws_from_the_update_alone(subject: RegularizerSubject) -> None:
    made = subject.make()
    penalties = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        penalties.append(copy.deepcopy(made)(subject.update(True)[1]))
        if not torch.equal(torch.random.get_rng_state(), before):
            raise Broken(
                "all random numbers from update.draws",
                "torch's global generator was used",
                "torch.rand and its like need generator=update.draws: else a resumed run takes another course",
            )
    if not torch.equal(*penalties):
        raise Broken(
            "the same penalty on the same update",
            f"{penalties[0].item():g} and {penalties[1].item():g}",
            "random numbers that are not torch's, or state outside the module",
        )


def _leaves_the_update_alone(subject: RegularizerSubject) -> None:
    judge, update = subject.update(True)
    tensors = (update.real, update.fake, update.real_logits, update.fake_logits, *judge.parameters())
    kept = [tensor.detach().clone() for tensor in tensors]
    subject.make()(update)
    if not all(torch.equal(tensor, before) for tensor, before in zip(tensors, kept, strict=True)):
        raise Broken("unchanged images, logits and weights", "other values", "an in-place operation")
    if any(p.grad is not None for p in judge.parameters()) or update.real.requires_grad:
        raise Broken(
            "no gradient left behind", "one in .grad, or images that require one", "backward() for torch.autograd.grad"
        )


def _keeps_its_state(subject: RegularizerSubject) -> None:
    """What it knows of earlier updates survives a checkpoint."""
    regularizer, file = subject.make(), io.BytesIO()
    regularizer(subject.update(True, 1)[1])
    resumed = subject.make()
    if isinstance(regularizer, nn.Module):
        torch.save(regularizer.state_dict(), file)
        file.seek(0)
        resumed.load_state_dict(torch.load(file, weights_only=True))
    one, other = (each(subject.update(True, 2)[1]) for each in (regularizer, resumed))
    if not torch.equal(one, other):
        raise Broken(
            "the same penalty after a checkpoint",
            f"{one.item():g} and {other.item():g}",
            "state outside buffers: make it an nn.Module and use register_buffer",
        )


def _is_scheduled_soundly(subject: RegularizerSubject) -> None:
    weight = getattr(subject.component, "default_weight", 1.0)
    interval = getattr(subject.component, "default_interval", 1)
    if not isinstance(weight, float) or weight <= 0 or not isinstance(interval, int) or interval < 1:
        raise Broken(
            "a default_weight above 0, a float, and a default_interval of at least 1, an int",
            f"{weight!r} and {interval!r}",
            "the class attributes",
        )
    if taken := {"weight", "interval"} & set(option_model(subject.component).model_fields):
        raise Broken("options of other names than weight and interval", f"{taken}", "the harness has these two")
    doubts = getattr(subject.component, "doubts", None)
    found = doubts(Combination("hinge", False, True)) if doubts else []
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        raise Broken("a list of lines from doubts(combination)", f"{found!r}", "it returns something else")


def costs(subject: RegularizerSubject) -> Iterator[Cost]:
    """It costs what D makes of it."""
    yield from ()


CHECKS: tuple[Check[RegularizerSubject], ...] = (
    Check("gives a finite scalar", _gives_a_finite_scalar),
    Check("moves the discriminator", _moves_the_discriminator),
    Check("draws from the update alone", _draws_from_the_update_alone),
    Check("leaves the update alone", _leaves_the_update_alone),
    Check("keeps its state", _keeps_its_state),
    Check("schedule and doubts", _is_scheduled_soundly),
)
