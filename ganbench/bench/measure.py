"""The figures of a form of a training step: time, memory, and where the time goes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ganbench.bench.phases import phase_shares
from ganbench.stepper import BLOCK_SECONDS, Stepper
from ganbench.train_step import Trainer


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile of at least two values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


@dataclass(frozen=True)
class Form:
    """One form of a step, measured."""

    seconds_per_step: tuple[float, float, float]
    """Quartiles."""
    peak_memory_bytes: int
    phases: dict[str, float]
    """Shares of a step's time: :data:`ganbench.bench.phases.PHASES`; the rest is none of them."""

    def describe(self, images: int, flops: int) -> dict[str, Any]:
        """As JSON, of a step that shows D so many real images and has so many FLOPs."""
        seconds = self.seconds_per_step[1]
        return {
            "seconds_per_step": seconds,
            "seconds_per_step_spread": [self.seconds_per_step[0], self.seconds_per_step[2]],
            "steps_per_second": 1 / seconds,
            "images_per_second": images / seconds,
            "flops_per_second": flops / seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "phases": self.phases,
        }


def measure_form(stepper: Stepper, seconds: Sequence[float]) -> Form:
    """The figures of a stepper whose blocks took so many seconds a step; it is stepped on for the others."""
    peak = peak_memory(stepper)
    steps = max(1, math.ceil(BLOCK_SECONDS / statistics.median(seconds)))
    shares = phase_shares(stepper.trainer, stepper.step, steps)
    stepper.step += steps
    return Form(quartiles(seconds), peak, shares)


def peak_memory(stepper: Stepper) -> int:
    """Bytes of tensors at the fullest moment of a step: what training holds and what the step takes beside it.

    On CUDA by the allocator, of the whole process; on the CPU by torch's profiler, of this trainer alone.
    """
    device = stepper.trainer.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        stepper.run(1)
        return torch.cuda.max_memory_allocated(device)
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _held(stepper.trainer)}
    return sum(held.values()) + rise(lambda: stepper.run(1))


def rise(call: Callable[[], object]) -> int:
    """Bytes by which the CPU's tensors grow at most while the call lasts, by torch's profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    events = (e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]")
    level = peak = 0
    for event in sorted(events, key=lambda e: int(e.start_ns())):
        level += event.nbytes()
        peak = max(peak, level)
    return peak


def _held(trainer: Trainer) -> Iterator[Tensor]:
    """Every tensor that training keeps from one step to the next."""
    networks = (trainer.generator, trainer.discriminator)
    yield from _tensors(trainer.state())
    yield from (p.grad for network in networks for p in network.parameters() if p.grad is not None)


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _tensors(value)
