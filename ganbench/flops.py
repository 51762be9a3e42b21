"""Floating-point operations of one update, counted once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ganbench.fused import written_out

if TYPE_CHECKING:
    from ganbench.train_step import Trainer


def _matrix_vector(matrix: torch.Size, vector: torch.Size, *_: Any, **__: Any) -> int:
    return 2 * matrix[0] * matrix[1]


def _dot(left: torch.Size, right: torch.Size, *_: Any, **__: Any) -> int:
    return 2 * left[0]


# The counter knows convolutions and matrix products; spectral norm's power iteration is made of these.
_MAPPING: dict[Any, Callable[..., int]] = {torch.ops.aten.mv: _matrix_vector, torch.ops.aten.dot: _dot}


def count_step(trainer: Trainer) -> int:
    """FLOPs of one step (n_dis updates of D, one of G), forward and backward, on the trainer's part of the batch;
    a multiply-add is two.

    Of the operations one after the other, whatever does them as one (:mod:`ganbench.fused`): what the model asks
    for, and so the same on every machine. The mean over steps: a regularizer adds what a step with it costs more
    than one without, over its interval, rounded to a whole number. Counted on a copy, so that nothing of the run
    moves. Normalization, activations and the optimizer count 0, as is the field's habit.
    """
    twin = twin_of(trainer)
    regularizers = twin.objective.regularizers
    parts, regularizers.parts = regularizers.parts, []
    bare = total = _count(twin)
    for part in parts:
        regularizers.parts = [part._replace(interval=1)]
        total += round((_count(twin) - bare) / part.interval)
    return total


def twin_of(trainer: Trainer) -> Trainer:
    """A copy to step and throw away: it shares what training does not move, and has no moving average.

    Its optimizers are plain descent at a rate of 0.
    """
    shared = {id(trainer.batches): trainer.batches}
    left_out = (trainer.ema, trainer.optimizer_g, trainer.optimizer_d)
    twin = copy.deepcopy(trainer, shared | dict.fromkeys(map(id, left_out)))
    twin.optimizer_g = torch.optim.SGD(twin.generator.parameters(), 0.0)
    twin.optimizer_d = torch.optim.SGD(twin.discriminator.parameters(), 0.0)
    return twin


def _count(trainer: Trainer) -> int:
    with written_out(), FlopCounterMode(display=False, custom_mapping=_MAPPING) as counter:
        trainer.step(0, 0.0)
    return int(counter.get_total_flops())


def forward_flops(module: nn.Module, *inputs: Any) -> int:
    """FLOPs of one forward pass without gradients; on the meta device nothing is computed."""
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_MAPPING) as counter:
        module(*inputs)
    return int(counter.get_total_flops())
