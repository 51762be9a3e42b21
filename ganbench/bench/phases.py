"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils import parametrize

from ganbench.batches import RealBatches
from ganbench.train_step import Trainer

PHASES = ("data", "discriminator", "generator", "optimizer", "weight_norm")
"""What :func:`phase_shares` tells apart. ``weight_norm`` is spectral norm, forward and backward, and any other
parametrization of weights; ``optimizer`` has the moving average too."""


class _Clock:
    """Time by phase; a phase that begins inside another stops the other's clock until it ends."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device, self._open = device, ["other"]
        self._since = self._now()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _switch(self) -> None:
        now = self._now()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def enter(self, phase: str) -> None:
        """From here on it is this phase's time."""
        self._switch()
        self._open.append(phase)

    def leave(self) -> None:
        """And here it is again the time of the phase around it."""
        self._switch()
        self._open.pop()

    def around(self, phase: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, as a phase."""

        def clocked(*arguments: Any, **options: Any) -> Any:
            self.enter(phase)
            try:
                return call(*arguments, **options)
            finally:
                self.leave()

        return clocked


class _ClockedBatches:
    """Batches that take their time as ``data``."""

    def __init__(self, batches: RealBatches, clock: _Clock) -> None:
        self.labels, self.waited_seconds = batches.labels, 0.0
        self._get = clock.around("data", batches)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        images, labels = self._get(step)
        return images, labels


class _Weights:
    """Hooks that give the parametrizations of weights a phase of their own, in both directions."""

    def __init__(self, clock: _Clock, undo: ExitStack) -> None:
        self._clock, self._undo = clock, undo
        self._known: set[Node] = set()
        """Nodes of the pass at hand that are clocked already: layers that are computed together share some."""

    def watch(self, network: nn.Module) -> None:
        """Clock what a pass of the network begins with, and each parametrization in it."""
        for hook in (
            network.register_forward_pre_hook(self._begin, prepend=True),
            network.register_forward_pre_hook(self._end),
        ):
            self._undo.callback(hook.remove)
        for module in network.modules():
            if isinstance(module, parametrize.ParametrizationList):
                self._undo.callback(module.register_forward_pre_hook(self._begin_part).remove)
                self._undo.callback(module.register_forward_hook(self._leave).remove)

    def _begin(self, *_: object) -> None:
        self._known.clear()
        self._clock.enter("weight_norm")

    def _begin_part(self, *_: object) -> None:
        self._clock.enter("weight_norm")

    def _end(self, *_: object) -> None:
        self._clock.leave()

    def _leave(self, _module: nn.Module, _input: object, weight: Tensor) -> None:
        nodes = [weight.grad_fn]
        while nodes:
            node = nodes.pop()
            if node is None or node in self._known or node.name() == "torch::autograd::AccumulateGrad":
                continue
            self._known.add(node)
            node.register_prehook(self._begin_part)
            node.register_hook(self._end)
            nodes += [parent for parent, _ in node.next_functions]
        self._clock.leave()


def phase_shares(trainer: Trainer, first: int, steps: int) -> dict[str, float]:
    """The share of each of :data:`PHASES` in the time of steps ``first`` and on, which are done.

    On CUDA the device is waited for at every change of phase, so that the steps take longer than they do alone.
    """
    clock = _Clock(trainer.device)
    with ExitStack() as undo:
        weights = _Weights(clock, undo)
        for name, phase in (("discriminator_step", "discriminator"), ("generator_step", "generator")):
            undo.enter_context(_replaced(trainer, name, clock.around(phase, getattr(trainer, name))))
        undo.enter_context(_replaced(trainer, "batches", _ClockedBatches(trainer.batches, clock)))
        for optimizer in (trainer.optimizer_d, trainer.optimizer_g):
            undo.callback(optimizer.register_step_pre_hook(lambda *_: clock.enter("optimizer")).remove)
            undo.callback(optimizer.register_step_post_hook(lambda *_: clock.leave()).remove)
        if trainer.ema is not None:
            undo.enter_context(_replaced(trainer.ema, "update", clock.around("optimizer", trainer.ema.update)))
        for network in (trainer.generator, trainer.discriminator):
            weights.watch(network)
        for step in range(first, first + steps):
            trainer.step(step, 0.0)
        clock.leave()
    total = sum(clock.seconds.values())
    return {phase: clock.seconds[phase] / total for phase in PHASES}


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Inside the block the object's attribute is another one."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
