"""Sizes an attention block, place by place, to the parameters or the FLOPs of the reference block.

A block takes part by naming one integer option as its size (``size_option``, see :mod:`ganbench.api`); the
harness searches that integer and knows no block by name but the reference.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ganbench.cost import MakeBlock, block_cost
from ganbench.errors import UsageError
from ganbench.layers import Layers

REFERENCE = "self"
"""The built-in attention block that others are sized to."""

TOLERANCE = 0.02
"""How far a matched block may be from the reference, as a share of it."""

_LARGEST = 1 << 20


@dataclass(frozen=True)
class Matcher:
    """Finds the size at which a block costs what the reference costs. Called for each place."""

    name: str
    """As the user chose the block."""
    make: MakeBlock
    size_option: str | None
    reference: MakeBlock
    by: Literal["parameters", "flops"]

    def __call__(self, channels: int, resolution: int, layers: Layers) -> dict[str, int]:
        """The size option for this place; empty where the block names none and fits as published.

        Raises UsageError, with the closest that the block can get, where that is not within the tolerance.
        """

        def count(make: MakeBlock, **size: int) -> int:
            return int(getattr(block_cost(make, channels, resolution, layers, **size), self.by))

        target = count(self.reference)
        if self.size_option is None:
            tried: list[tuple[dict[str, int], int]] = [({}, count(self.make))]
        else:
            option = self.size_option
            tried = [
                ({option: size}, cost)
                for size, cost in closest_sizes(lambda size: count(self.make, **{option: size}), target)
            ]
        size, cost = min(tried, key=lambda pair: abs(pair[1] - target))
        if abs(cost - target) > TOLERANCE * target:
            raise UsageError(self._refusal(tried, target, f"{channels} channels at {resolution} px"))
        return size

    def _refusal(self, tried: list[tuple[dict[str, int], int]], target: int, place: str) -> str:
        unit = "parameters" if self.by == "parameters" else "FLOPs"
        got = []
        for size, cost in tried:
            given = ", ".join(f"{k}={v}" for k, v in size.items()) or "its only size"
            got.append(f"{given} gives {cost:,} ({cost / target - 1:+.1%})")
        return (
            f"attention '{self.name}' cannot be matched to '{REFERENCE}' at {place}: that has {target:,} {unit}, "
            f"and {' and '.join(got)}, not within {TOLERANCE:.0%}. Choose another --attention-at or --width, "
            "or leave the block at its published size with --attention-match none"
        )


def closest_sizes(cost: Callable[[int], int], target: int) -> list[tuple[int, int]]:
    """The largest size that costs no more than ``target`` and the next one, as far as they exist, with costs.

    Presumes that a larger size costs more, and that a block which refuses a size by UsageError refuses all
    above it; a refusal of size 1 is one of the place, and is raised.
    """

    @functools.cache
    def cost_of(size: int) -> float:
        try:
            return cost(size)
        except UsageError:
            if size == 1:
                raise
            return math.inf

    low, high = 0, 1
    while high < _LARGEST and cost_of(high) <= target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost_of(middle) <= target else (low, middle)
    return [(size, int(cost_of(size))) for size in (low, high) if size > 0 and cost_of(size) < math.inf]


def size_option(component: Any) -> str | None:
    """The option that a block names as its size."""
    option = getattr(component, "size_option", None)
    return None if option is None else str(option)


def check_matchable(component: Any, options: Mapping[str, Any]) -> None:
    """Raises UsageError where the user has set the option that matching is to find, or where there is none."""
    option = size_option(component)
    if option is None:
        return
    if option not in options:
        raise UsageError(f"{component.__qualname__} names '{option}' as its size, which is no option of it")
    if options[option] is not None:
        raise UsageError(f"attention.{option} is set, and --attention-match would size it: drop one of the two")
