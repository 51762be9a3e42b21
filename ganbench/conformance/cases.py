"""What is checked: modules of a component, each with inputs to call it on."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.conditioning import DiscriminatorOutput
from ganbench.conformance.report import Broken, Cost
from ganbench.cost import count_parameters
from ganbench.errors import UsageError
from ganbench.flops import forward_flops
from ganbench.layers import Layers
from ganbench.random import isolated
from ganbench.registry import built_in

Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One module that a component makes, and how it is called."""

    label: str
    """As in '64 channels at 16 px'."""
    build: Callable[[], nn.Module]
    """A fresh module; raises UsageError where the component refuses the case."""
    inputs: Callable[[int], Inputs]
    """Fresh inputs for a batch of so many, the first of them the floating-point one that gradients go to."""
    output: tuple[int, ...]
    """The shape for one image."""
    types_under_autocast: tuple[torch.dtype, ...] = (torch.bfloat16,)
    """What may come out under autocast to bfloat16, given bfloat16."""


@dataclass
class Subject:
    """A component under check."""

    component: Any
    options: dict[str, Any]
    """All of them, typed."""
    cases: Sequence[Case]
    usable: list[Case] = field(default_factory=list)
    """Those that can be built and called, as the first check finds; the others build on these."""
    sound: bool = True
    """Whether that check found no fault."""

    def make(self, *given: Any, **decided: Any) -> Any:
        """The component, called with what the harness gives it."""
        return self.component(*given, **(self.options | decided))

    @property
    def largest(self) -> Case:
        """The usable case that was named last."""
        if not self.usable:
            raise Broken("a case that can be built", "none", "see the first check")
        return self.usable[-1]


def call(module: Callable[..., Any], inputs: Inputs) -> Tensor:
    """The output; of a discriminator's all that it says of an image, in one number."""
    out = module(*inputs)
    if isinstance(out, DiscriminatorOutput):
        out = out.logits if out.class_logits is None else out.logits + out.class_logits.sum(1)
    if not isinstance(out, Tensor):
        raise Broken("a tensor", f"{type(out).__name__}", "forward returns nothing or several values")
    return out


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Inputs with every tensor changed, also those of a Condition."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        parts = [mapped(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def convert(inputs: Inputs, dtype: torch.dtype) -> Any:
    """Inputs with every floating-point tensor in another type."""
    return mapped(inputs, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)


def opened(module: nn.Module) -> nn.Module:
    """The module with every parameter of zeros filled: behind a gate at 0 no gradient shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() and not parameter.any():
                parameter.uniform_(0.5, 1.0)
    return module


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter and buffer, persistent or not."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in tensors}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    """The names under which two states differ."""
    return [name for name in before if not torch.equal(before[name], after[name])]


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Equality, a NaN being equal to itself."""
    return one.shape == other.shape and torch.equal(one.nan_to_num(nan=7.25), other.nan_to_num(nan=7.25))


def empty_layers(module: nn.Module) -> list[str]:
    """The names of parameters without elements."""
    return [name for name, parameter in module.named_parameters() if parameter.numel() == 0]


def agree(one: Tensor, other: Tensor) -> bool:
    """Equality but for the rounding of another order of summation in float32, several layers deep."""
    return bool((one - other).abs().max() <= 1e-3 * other.abs().max())


def twice(case: Case, train: bool) -> tuple[nn.Module, nn.Module, Inputs]:
    """A module, its copy and inputs for both."""
    module = opened(case.build()).train(train)
    return module, copy.deepcopy(module), case.inputs(2)


@contextmanager
def refusable() -> Iterator[list[str]]:
    """Collect the message of a UsageError instead of raising it: refusing a case is a component's right."""
    refusals: list[str] = []
    try:
        yield refusals
    except UsageError as error:
        refusals.append(str(error))


def make_layers(
    weight_norm: Callable[[nn.Module], nn.Module] | str = "none", *, num_classes: int = 0, **changes: Any
) -> Layers:
    """A network's layers: unconditional, without normalizers and attention, but for what is given."""
    chosen = built_in("normalizer", weight_norm).load() if isinstance(weight_norm, str) else weight_norm
    given: dict[str, Any] = {
        "latent_dim": 16,
        "conditioning": "none",
        "activation_norm": built_in("normalizer", "none").load(),
        "attention_block": built_in("attention", "none").load(),
        "attention_at": (),
    }
    return Layers(num_classes=num_classes, weight_norm=chosen, **(given | changes))


def measure(case: Case, what: str) -> Cost:
    """Parameters, FLOPs and time of a case."""
    module, inputs = case.build(), case.inputs(8)
    flops = forward_flops(copy.deepcopy(module).eval(), *case.inputs(1))
    return Cost(what, count_parameters(module), flops, 1000 * _seconds(module, inputs))


def _seconds(module: nn.Module, inputs: Inputs) -> float:
    leaf = inputs[0].detach().requires_grad_()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        call(module, (leaf, *inputs[1:])).sum().backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter() - start)
    return median(times[2:])


def seeded(case: Case, seed: int) -> nn.Module:
    """A fresh module from one seed."""
    with isolated(seed, "check-init"):
        return case.build()
