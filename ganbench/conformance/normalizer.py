"""The checks on a normalizer, in each of its roles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from ganbench.conformance.cases import Case, Subject, changed, make_layers, measure, seeded, state_of
from ganbench.conformance.compiled import COMPILES
from ganbench.conformance.modules import DERIVATIVES, MODULE_CHECKS
from ganbench.conformance.report import Broken, Check, Cost
from ganbench.layers import Condition
from ganbench.registry import built_in

_CLASSES, _LATENT = 5, 16
_MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "a 3x3 convolution": (lambda: nn.Conv2d(6, 8, 3, padding=1), (6, 8, 8), (8, 8, 8)),
    "a 1x1 convolution without bias": (lambda: nn.Conv2d(16, 8, 1, bias=False), (16, 4, 4), (8, 4, 4)),
    "a transposed convolution": (lambda: nn.ConvTranspose2d(6, 8, 4, 2, 1), (6, 4, 4), (8, 8, 8)),
    "a linear layer": (lambda: nn.Linear(12, 7), (12,), (7,)),
}
"""Module, shape in and shape out of what a weight normalizer wraps."""


def subject_of(component: Any, options: dict[str, Any]) -> Subject:
    """The normalizer in every role that it has."""
    roles, cases = getattr(component, "roles", ()), []
    if "activation" in roles:
        cases += [
            _activation(component, options, channels, classes, per_class)
            for channels in (8, 12, 32)
            for classes, per_class in ((0, True), (_CLASSES, True), (_CLASSES, False))
        ]
    if "weight" in roles:
        cases += [_weight(component, options, label) for label in _MODULES]
    return Subject(component, options, cases)


def _activation(component: Any, options: dict[str, Any], channels: int, classes: int, per_class: bool) -> Case:
    def build() -> nn.Module:
        layers = make_layers(num_classes=classes, latent_dim=_LATENT)
        layers.norm_per_class = per_class
        module: nn.Module = component(channels, layers, **options)
        return module

    def inputs(batch: int) -> tuple[Any, ...]:
        labels = torch.arange(batch) % classes if classes else None
        return torch.randn(batch, channels, 8, 8), Condition(labels, torch.randn(batch, _LATENT))

    how = "without classes" if not classes else "with classes" if per_class else "with classes, one set for all"
    return Case(f"{channels} channels {how}", build, inputs, (channels, 8, 8))


def _weight(component: Any, options: dict[str, Any], label: str) -> Case:
    make, given, output = _MODULES[label]

    def build() -> nn.Module:
        module = make()
        if isinstance(module.bias, torch.Tensor):
            nn.init.zeros_(module.bias)
        wrapped: nn.Module = component(module, **options)
        return wrapped

    return Case(f"the weight of {label}", build, lambda batch: (torch.randn(batch, *given),), output)


def _has_roles(subject: Subject) -> None:
    roles = getattr(subject.component, "roles", ())
    if not roles or set(roles) - {"weight", "activation"}:
        raise Broken(
            "the role 'weight' or 'activation', or both",
            f"{roles}" if roles else "none",
            "the decorator @ganbench.api.normalizes(ROLE) is missing",
        )


def _keeps_a_weights_shape(subject: Subject) -> None:
    for case in subject.usable:
        if not case.label.startswith("the weight"):
            continue
        make = _MODULES[case.label.removeprefix("the weight of ")][0]
        weight, wrapped = (_described(module.weight) for module in (make(), case.build()))
        if weight != wrapped:
            raise Broken(
                f"a weight of {weight} for {case.label}",
                wrapped,
                "the weight has to stay readable as module.weight, in its own shape and type",
            )
        if not torch.as_tensor(case.build().weight).isfinite().all():
            raise Broken(
                f"a finite weight for {case.label}", "values that are not finite", "a division by 0: add an eps"
            )


def _described(weight: object) -> str:
    return f"{weight.dtype} {list(weight.shape)}" if isinstance(weight, torch.Tensor) else type(weight).__name__


def _is_copied_whole(subject: Subject) -> None:
    """A moving average and a checkpoint copy modules."""
    for case in subject.usable:
        module = seeded(case, 1)
        twin = copy.deepcopy(module)
        if names := changed(state_of(module), state_of(twin)):
            raise Broken(f"an equal deep copy at {case.label}", f"{names[0]} differs", "state outside the module")
        shared = {id(p) for p in module.parameters()} & {id(p) for p in twin.parameters()}
        if shared:
            raise Broken(f"a deep copy of its own at {case.label}", "shared parameters", "a closure over the module")


def costs(subject: Subject) -> Iterator[Cost]:
    """The last case of each role, and the same with the normalizer ``none``."""
    none = built_in("normalizer", "none").load()
    for case in {case.label.startswith("the weight"): case for case in subject.usable}.values():
        yield measure(case, case.label)
        if case.label.startswith("the weight"):
            plain = _weight(none, {}, case.label.removeprefix("the weight of "))
        else:
            plain = _activation(none, {}, case.output[0], 0, True)
        yield measure(plain, f"{case.label} with none")


CHECKS: tuple[Check[Subject], ...] = (
    Check("has a role", _has_roles),
    *MODULE_CHECKS,
    Check("keeps the weight's shape", _keeps_a_weights_shape),
    Check("copied whole", _is_copied_whole),
    DERIVATIVES,
    COMPILES,
)
