"""The exponential moving average of a generator's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ganbench.spec import EMASpec


class EMA:
    """A twin of the generator: parameters averaged, buffers copied.

    Buffers are not averaged because the mean of unit vectors is none: an averaged u of spectral norm gives
    a sigma several times too large. Weight-normalized layers are averaged in their original weights.
    """

    def __init__(self, generator: nn.Module, spec: EMASpec) -> None:
        self.module = copy.deepcopy(generator).requires_grad_(False)
        self._spec = spec
        self._averaged: list[Tensor] = list(self.module.parameters())
        self._source: list[Tensor] = list(generator.parameters())
        self._buffers = list(zip(self.module.buffers(), generator.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After update number ``step`` of G, counted from 1: average, or copy up to the start step."""
        decay = self._spec.decay if step > self._spec.start else 0.0
        torch._foreach_lerp_(self._averaged, self._source, 1 - decay)
        for mine, theirs in self._buffers:
            mine.copy_(theirs)
