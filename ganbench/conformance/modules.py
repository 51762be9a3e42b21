"""The checks that every component makes sense of which is a module: attention, normalizer, architecture."""

from __future__ import annotations

import copy
import io

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError

from ganbench.conformance.cases import (
    Case,
    Subject,
    agree,
    call,
    changed,
    convert,
    empty_layers,
    mapped,
    opened,
    refusable,
    same_bits,
    seeded,
    state_of,
    twice,
)
from ganbench.conformance.report import Broken, Check, describe, expecting, likely_cause
from ganbench.random import isolated

_TRIES = 4


def _builds(subject: Subject) -> None:
    """Every case builds and gives its shape, or is refused by UsageError; one at least is not refused."""
    refused, first = [], None
    for case in subject.cases:
        with refusable() as refusals:
            try:
                _has_shape(case)
                subject.usable.append(case)
            except Broken as broken:
                first = first or broken
        refused += [f"{case.label}: {message}" for message in refusals]
    if first:
        subject.sound = False
        raise first
    if not subject.usable:
        raise Broken("a module at one size at least", refused[0], "the sizes it takes are too few to be of use")


def _has_shape(case: Case) -> None:
    expected = (2, *case.output)
    with expecting(f"a module at {case.label} that gives {list(expected)}"):
        module, inputs = case.build(), case.inputs(2)
        if not isinstance(module, nn.Module):
            raise Broken("an nn.Module", type(module).__name__, "the component makes something else")
        if empty := empty_layers(module):
            raise Broken(
                f"no empty layer at {case.label}",
                f"{empty[0]} has no element",
                "an integer division gave 0: refuse with ganbench.api.UsageError, saying what to do",
            )
        shape = call(module, inputs).shape
    if shape != expected:
        raise Broken(
            f"the shape {list(expected)} at {case.label}", str(list(shape)), "a transposition or pooling not undone"
        )


def _builds_without_memory(subject: Subject) -> None:
    """As the harness does before a run, and to count FLOPs."""
    for case in subject.usable:
        with expecting(f"a module that can be built and called on the meta device at {case.label}"):
            out = _on_meta(case)
        if not out.is_meta:
            raise Broken("an output on the device of the input", str(out.device), "a tensor of a fixed device")


def _on_meta(case: Case) -> Tensor:
    with torch.device("meta"):
        return call(case.build(), case.inputs(2))


def _is_finite(subject: Subject) -> None:
    for case in subject.usable:
        module, inputs = opened(case.build()), case.inputs(2)
        for scale in (1.0, 30.0):
            out = call(module, (scale * inputs[0], *inputs[1:]))
            if not out.isfinite().all():
                raise Broken(
                    f"finite output at {case.label}, also for inputs 30 times as large",
                    f"{(~out.isfinite()).sum()} of {out.numel()} values are not",
                    "an exponential, a division or a logarithm without bounds: use softmax, an eps, logsigmoid",
                )


def _gradients_reach_everything(subject: Subject) -> None:
    """Over all cases, and several draws where need be: a ReLU may block one draw, not all."""
    reached: dict[str, str] = {}
    for _ in range(_TRIES):
        for case in subject.usable:
            for name, state in _gradient_states(case).items():
                reached[name] = _best(reached.get(name, "none"), state)
        if set(reached.values()) == {"reached"}:
            return
    for name, state in reached.items():
        if state != "reached":
            raise Broken(
                f"a finite gradient, not zero throughout, for {name}",
                {"none": "no gradient", "zero": "zeros throughout", "not finite": "values that are not finite"}[state],
                {
                    "none": "it is registered but forward never uses it, or uses it detached",
                    "zero": "its effect on the output is cut off: by an activation that is always 0, or by rounding",
                    "not finite": "a square root, division or logarithm at 0: add an eps",
                }[state],
            )


def _gradient_states(case: Case) -> dict[str, str]:
    """What came back to the input and to every parameter that takes a gradient, by name."""
    module, inputs = opened(case.build()), case.inputs(4)
    leaf = inputs[0].detach().requires_grad_()
    out = call(module, (leaf, *inputs[1:]))
    if not out.requires_grad:
        raise Broken("an output with a gradient", "one without", "a .detach(), .data or no_grad in forward")
    (out * torch.randn_like(out)).sum().backward()  # type: ignore[no-untyped-call]
    tensors = [("the input", leaf), *module.named_parameters()]
    return {name: _gradient_state(tensor) for name, tensor in tensors if tensor.requires_grad}


def _gradient_state(tensor: Tensor) -> str:
    if tensor.grad is None:
        return "none"
    if not tensor.grad.isfinite().all():
        return "not finite"
    return "reached" if tensor.grad.any() else "zero"


def _best(one: str, other: str) -> str:
    order = ("none", "zero", "reached", "not finite")  # what is not finite once is broken
    return max(one, other, key=order.index)


def _types(subject: Subject) -> None:
    for case in subject.usable:
        module, inputs = opened(case.build()), case.inputs(2)
        wrong = "a constant of a fixed type, .float(), or a float32 parameter that is not cast to x.dtype"
        out = call(module, inputs)
        if out.dtype != torch.float32:
            raise Broken(f"float32 from float32 at {case.label}", str(out.dtype), wrong)
        with expecting(f"a forward and backward pass under autocast to bfloat16 at {case.label}"):
            low = convert(inputs, torch.bfloat16)
            with torch.autocast("cpu", torch.bfloat16):
                out = call(module, (low[0].requires_grad_(), *low[1:]))
            out.float().sum().backward()  # type: ignore[no-untyped-call]
        if out.dtype not in case.types_under_autocast or not out.isfinite().all():
            allowed = " or ".join(map(str, case.types_under_autocast))
            seen = str(out.dtype) if out.isfinite().all() else "values that are not finite"
            raise Broken(f"finite {allowed} from bfloat16 under autocast at {case.label}", seen, wrong)
        with expecting(f"a float64 module on float64 input at {case.label}"):
            out = call(copy.deepcopy(module).double(), convert(inputs, torch.float64))
        if out.dtype != torch.float64:
            raise Broken(f"float64 from float64 at {case.label}", str(out.dtype), wrong)


def _is_deterministic(subject: Subject) -> None:
    cause = "random numbers in forward that are not torch's, state kept between calls, or an uninitialised tensor"
    for case in subject.usable:
        states = [state_of(seeded(case, 1)) for _ in range(2)]
        if differing := changed(*states):
            raise Broken("the same parameters from the same seed", f"{differing[0]} differs", cause)
        for train in (False, True):
            first, second, inputs = twice(case, train)
            outputs: list[Tensor] = []
            for module in (first, second):
                # Evaluation may not draw at all; training may, from torch's generator.
                with isolated(1 if train else len(outputs), "check-forward"):
                    outputs.append(call(module, inputs))
            if not same_bits(*outputs):
                mode = "training" if train else "evaluation"
                most = (outputs[0] - outputs[1]).abs().max().item()
                raise Broken(f"the same output twice in {mode} mode", f"a difference of {most:.3g}", cause)


def _state_dict_restores(subject: Subject) -> None:
    for case in subject.usable:
        module, other, inputs = opened(seeded(case, 1)).eval(), seeded(case, 2).eval(), case.inputs(2)
        file = io.BytesIO()
        with expecting("a state_dict that is saved and loaded with weights_only=True and strict=True"):
            torch.save(module.state_dict(), file)
            file.seek(0)
            other.load_state_dict(torch.load(file, weights_only=True))
        if not same_bits(call(module, inputs), call(other, inputs)):
            raise Broken(
                f"the same output after load_state_dict at {case.label}",
                "another",
                "state outside parameters and buffers: register tensors with nn.Parameter or register_buffer",
            )


def _leaves_its_input_alone(subject: Subject) -> None:
    for case in subject.usable:
        for train in (True, False):
            module, _, inputs = twice(case, train)
            kept = copy.deepcopy(inputs)
            with torch.no_grad():
                call(module, inputs)
            if not same_bits(inputs[0], kept[0]):
                raise Broken(
                    f"an unchanged input in {'training' if train else 'evaluation'} mode at {case.label}",
                    f"{int((inputs[0] != kept[0]).sum())} of {kept[0].numel()} values changed",
                    "an in-place operation on x, such as nn.ReLU(inplace=True) or x += y; a skip connection around "
                    "the module would see the changed values",
                )


def _evaluation_changes_nothing(subject: Subject) -> None:
    for case in subject.usable:
        module, _, inputs = twice(case, False)
        before = state_of(module)
        with torch.no_grad():
            out = call(module, inputs)
            single = call(module, mapped(inputs, lambda tensor: tensor[:1]))
        if names := changed(before, state_of(module)):
            raise Broken(
                f"no change to parameters and buffers in evaluation mode at {case.label}",
                f"{names[0]} changed",
                "a buffer updated without looking at self.training: evaluating would disturb the training",
            )
        if not agree(out[:1], single):
            raise Broken(
                f"an image's output in evaluation mode that does not depend on its batch, at {case.label}",
                f"a difference of {(out[:1] - single).abs().max():.3g} between a batch of 2 and of 1",
                "a softmax, mean or norm over the batch axis (0), or a reshape that mixes images",
            )


def _takes_any_layout(subject: Subject) -> None:
    for case in subject.usable:
        module, _, inputs = twice(case, False)
        x = inputs[0]
        if x.dim() != 4:
            continue
        expected = call(module, inputs)
        wide = torch.cat([x, x], 3)
        layouts = {
            "channels_last": x.contiguous(memory_format=torch.channels_last),
            "transposed": x.transpose(2, 3).contiguous().transpose(2, 3),
            "a slice": wide[..., : x.shape[3]],
        }
        for layout, laid in layouts.items():
            with expecting(f"a forward pass on {layout} input at {case.label}"):
                out = call(module, (laid, *inputs[1:]))
            if not agree(out, expected):
                raise Broken(
                    f"the same output on {layout} input at {case.label}",
                    f"a difference of {(out - expected).abs().max():.3g}",
                    "as_strided, .data_ptr or a view that presumes the order in memory",
                )


def _derivatives_are_right(subject: Subject) -> None:
    """By finite differences in float64, at the smallest size."""
    case = subject.usable[0] if subject.usable else subject.largest
    module = opened(case.build()).double().eval()
    inputs = convert(case.inputs(1), torch.float64)
    leaf = inputs[0].detach().requires_grad_()
    # Of all outputs at once: a random direction, so that one backward pass suffices.
    try:
        torch.autograd.gradcheck(lambda x: call(module, (x, *inputs[1:])), (leaf,), fast_mode=True, nondet_tol=0.0)
    except GradcheckError as error:
        raise Broken(
            f"the gradient of finite differences in float64 at {case.label}",
            describe(error),
            "a torch.autograd.Function with a wrong backward, or a straight-through or detached path",
        ) from error
    except RuntimeError as error:
        raise Broken("a gradient in float64", describe(error), likely_cause(error)) from error


MODULE_CHECKS: tuple[Check[Subject], ...] = (
    Check("builds with the right output shape", _builds),
    Check("builds on the meta device", _builds_without_memory),
    Check("finite output", _is_finite),
    Check("gradients reach every parameter", _gradients_reach_everything),
    Check("types", _types),
    Check("deterministic", _is_deterministic),
    Check("state dict restores it", _state_dict_restores),
    Check("leaves its input alone", _leaves_its_input_alone),
    Check("evaluation changes nothing", _evaluation_changes_nothing),
    Check("any memory layout", _takes_any_layout),
)
"""In order: the first finds the cases that the others use."""

DERIVATIVES: Check[Subject] = Check("derivatives in float64", _derivatives_are_right)
