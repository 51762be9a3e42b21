"""The checks on an attention block."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ganbench.conformance.cases import (
    Case,
    Subject,
    call,
    convert,
    empty_layers,
    make_layers,
    measure,
    opened,
    refusable,
)
from ganbench.conformance.compiled import COMPILES
from ganbench.conformance.modules import DERIVATIVES, MODULE_CHECKS
from ganbench.conformance.report import Broken, Check, Cost, Noted, Skipped, expecting
from ganbench.cost import block_cost
from ganbench.registry import built_in

PLACES = ((8, 4), (16, 8), (24, 8), (64, 16))
"""Channels and resolution of the places a block is tried at; one also under spectral norm."""


def subject_of(component: Any, options: dict[str, Any]) -> Subject:
    """The block at every place."""
    cases = [
        _case(component, options, channels, resolution, norm)
        for channels, resolution in PLACES
        for norm in (("none", "spectral") if channels == 16 else ("none",))
    ]
    return Subject(component, options, cases)


def _case(component: Any, options: dict[str, Any], channels: int, resolution: int, norm: str) -> Case:
    under = " under spectral norm" if norm == "spectral" else ""
    return Case(
        f"{channels} channels at {resolution} px{under}",
        lambda: component(channels, make_layers(norm), **options),
        lambda batch: (torch.randn(batch, channels, resolution, resolution),),
        (channels, resolution, resolution),
    )


def _is_refused_well(subject: Subject) -> None:
    """Few channels are taken or refused with a reason; nothing else."""
    if not subject.sound:
        raise Skipped("it fails with many channels already")
    for channels in range(1, 8):
        case = _case(subject.component, subject.options, channels, 8, "none")
        wanted = f"a block for {channels} channels, or a ganbench.api.UsageError that says what to do"
        with refusable(), expecting(wanted), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own on empty layers, which the check tells better
            module = case.build()
            if empty := empty_layers(module):
                raise Broken(
                    wanted, f"{empty[0]} has no element", f"a share of {channels} channels is 0: refuse it at once"
                )
            call(module, case.inputs(1))


def _is_the_identity_at_init(subject: Subject) -> None:
    if not getattr(subject.component, "identity_at_init", False):
        raise Skipped("not claimed (identity_at_init)")
    for case in subject.usable:
        module, inputs = case.build(), case.inputs(2)
        out = call(module, inputs)
        if not torch.equal(out, inputs[0]):
            raise Broken(
                f"a fresh block that returns its input bit for bit at {case.label}",
                f"a difference of {(out - inputs[0]).abs().max():.3g}",
                "the gate does not start at 0, or it gates only a part; else drop identity_at_init",
            )
        if not list(module.parameters()):
            continue
        (out * torch.randn_like(out)).sum().backward()  # type: ignore[no-untyped-call]
        if not any(p.grad is not None and p.grad.any() for p in module.parameters()):
            raise Broken(
                f"a gradient for the gate of a fresh block at {case.label}",
                "no parameter has one",
                "the gate and what it gates both start at 0, so that neither ever moves: start one elsewhere",
            )


def _shows_its_attention(subject: Subject) -> None:
    case = subject.largest
    module = opened(case.build())
    if not hasattr(module, "attention_map"):
        raise Skipped("it offers no attention_map")
    x = convert(case.inputs(2), torch.float64)[0]
    attention: torch.Tensor = module.double().attention_map(x)  # type: ignore[operator]
    places = x.shape[2] * x.shape[3]
    if attention.shape[0] != 2 or attention.shape[-2] != places:
        raise Broken(
            f"an attention map [2, ..., {places}, keys] at {case.label}",
            str(list(attention.shape)),
            "queries belong on the last axis but one, keys on the last",
        )
    sums = attention.sum(-1)
    if (attention < 0).any() or not torch.allclose(sums, torch.ones_like(sums)):
        raise Broken(
            f"rows of probabilities that sum to 1 over the keys at {case.label}",
            f"sums from {sums.min():.3g} to {sums.max():.3g}",
            "the softmax runs over the wrong axis: the keys are the last, softmax(-1)",
        )


def _has_a_second_derivative(subject: Subject) -> None:
    case = subject.largest
    module, inputs = opened(case.build()), case.inputs(2)
    if not list(module.parameters()):
        raise Skipped("it has no parameters")
    x = inputs[0].requires_grad_()
    with expecting("a second derivative under the math kernel of attention, as a gradient penalty takes it"):
        with sdpa_kernel(SDPBackend.MATH):
            (slope,) = torch.autograd.grad(call(module, (x,)).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
    if not all(p.grad is None or p.grad.isfinite().all() for p in module.parameters()):
        raise Broken("finite second derivatives", "values that are not finite", "a square root or division at 0")


def _size_option_sizes(subject: Subject) -> None:
    option = getattr(subject.component, "size_option", None)
    if option is None:
        raise Skipped("it names no size (size_option), so that it is matched at its published size or not at all")
    parameter = inspect.signature(subject.component).parameters.get(option)
    if parameter is None or parameter.default is not None:
        raise Broken(
            f"an option '{option}' whose default is None, the published size",
            "none of that name" if parameter is None else f"a default of {parameter.default!r}",
            "size_option and the constructor's keyword-only parameters differ",
        )
    layers, costs = make_layers(), []
    for size in (1, 2, 4):
        with refusable(), expecting(f"a block with {option}={size} at 64 channels"):
            costs.append(block_cost(subject.make, 64, 16, layers, **{option: size}))
    if any(after.parameters <= before.parameters for before, after in pairwise(costs)):
        raise Broken(
            f"more parameters with a larger {option}",
            f"{', '.join(str(cost.parameters) for cost in costs)} for 1, 2, 4",
            "the option does not reach the layers, or is rounded",
        )


def layers_outside(module: nn.Module, made: list[nn.Module]) -> list[str]:
    """Names of convolutions and linear layers that ``made`` by Layers does not hold."""
    ids = {id(each) for each in made}
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
    return [name for name, each in module.named_modules() if isinstance(each, kinds) and id(each) not in ids]


def _is_reached_by_the_weight_normalizer(subject: Subject) -> None:
    made: list[nn.Module] = []

    def keep(module: nn.Module) -> nn.Module:
        made.append(module)
        return module

    channels = PLACES[-1][0]
    with refusable() as refusals:
        module = subject.make(channels, make_layers(keep))
    if refusals:
        raise Skipped(refusals[0])
    if outside := layers_outside(module, made):
        raise Noted(
            f"{', '.join(outside)} did not come from layers.conv or layers.linear: spectral norm does not reach it"
        )


def costs(subject: Subject) -> Iterator[Cost]:
    """The block's cost and that of no block."""
    case = next((case for case in reversed(subject.usable) if "spectral" not in case.label), None)
    if case is None:
        return
    yield measure(case, f"{case.label}")
    channels, resolution, _ = case.output
    none = _case(built_in("attention", "none").load(), {}, channels, resolution, "none")
    yield measure(none, f"{case.label} with none")


CHECKS: tuple[Check[Subject], ...] = (
    *MODULE_CHECKS,
    Check("few channels are refused well", _is_refused_well),
    Check("identity at init", _is_the_identity_at_init),
    Check("attention map", _shows_its_attention),
    Check("size option", _size_option_sizes),
    Check("weight normalizer reaches it", _is_reached_by_the_weight_normalizer),
    DERIVATIVES,
    Check("second derivative", _has_a_second_derivative),
    COMPILES,
)
