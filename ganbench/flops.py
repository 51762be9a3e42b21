"""Floating-point operations of one update, counted once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from ganbench.train_step import Trainer


def _matrix_vector(matrix: torch.Size, vector: torch.Size, *_: Any, **__: Any) -> int:
    return 2 * matrix[0] * matrix[1]


def _dot(left: torch.Size, right: torch.Size, *_: Any, **__: Any) -> int:
    return 2 * left[0]


# The counter knows convolutions and matrix products; spectral norm's power iteration is made of these.
_MAPPING: dict[Any, Callable[..., int]] = {torch.ops.aten.mv: _matrix_vector, torch.ops.aten.dot: _dot}


def count_step(trainer: Trainer) -> int:
    """FLOPs of one step (n_dis updates of D, one of G), forward and backward; a multiply-add is two.

    Counted on a copy of both networks, so that nothing of the run moves. Normalization, activations and
    the optimizer count 0, as is the field's habit.
    """
    twin = copy.copy(trainer)
    twin.generator, twin.discriminator = copy.deepcopy((trainer.generator, trainer.discriminator))
    twin.ema = None
    twin.optimizer_g = torch.optim.SGD(twin.generator.parameters(), 0.0)  # type: ignore[assignment]
    twin.optimizer_d = torch.optim.SGD(twin.discriminator.parameters(), 0.0)  # type: ignore[assignment]
    with FlopCounterMode(display=False, custom_mapping=_MAPPING) as counter:
        twin.step(0, 0.0)
    return int(counter.get_total_flops())


def forward_flops(module: nn.Module, *inputs: Any) -> int:
    """FLOPs of one forward pass without gradients; on the meta device nothing is computed."""
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_MAPPING) as counter:
        module(*inputs)
    return int(counter.get_total_flops())
