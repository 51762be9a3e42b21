"""The regularizers of a run: which of them are due at an update of D, and what they add to its loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ganbench.penalty import DiscriminatorUpdate
from ganbench.random import generator
from ganbench.rank_draws import sliced_draws

if TYPE_CHECKING:
    from ganbench.api import Regularizer


class Scheduled(NamedTuple):
    """A regularizer with its weight and its interval."""

    name: str
    regularizer: Regularizer
    weight: float
    interval: int


class Regularizers(nn.Module):
    """The sum of all that are due. Its state dict is that of the regularizers that are modules.

    With interval k one is added to every k-th update of D, beginning with the first, at k times its weight:
    the lazy regularization of Karras et al. (2020), with the same mean gradient at 1/k of the cost. There it
    is an optimizer step of its own, with Adam's rates adapted; here it is part of the update's one backward
    pass, with Adam as it is.
    """

    def __init__(self, parts: Sequence[Scheduled], seed: int) -> None:
        super().__init__()
        self.parts = list(parts)
        self._seed = seed
        # Registered, so that their buffers move with the device and go into the checkpoint.
        self.modules_of_parts = nn.ModuleList(p.regularizer for p in parts if isinstance(p.regularizer, nn.Module))

    def forward(self, step: int, update: DiscriminatorUpdate) -> Tensor:
        """The scalar to add to D's loss at its update number ``step``, counted from 0."""
        total = torch.zeros_like(update.real_logits[0])
        for name, regularizer, weight, interval in self.parts:
            if step % interval == 0:
                own = replace(update, draws=generator(self._seed, f"regularizer-{name}", step))
                with sliced_draws(len(update.real)):
                    total = total + interval * weight * regularizer(own)
        return total
