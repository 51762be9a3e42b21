"""Training steps timed, one form of them beside another."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from ganbench.train_step import Trainer

WARM_UP = 3
"""Steps before the first that is timed."""
BLOCK_SECONDS = 0.5
"""At least so long is timed at once, in whole steps."""


class Stepper:
    """A trainer that goes on from step to step."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.step = trainer, 0

    def run(self, steps: int) -> float:
        """Seconds of so many steps, the device's work included."""
        started = time.perf_counter()
        for _ in range(steps):
            self.trainer.step(self.step, 0.0)
            self.step += 1
        if self.trainer.device.type == "cuda":
            torch.cuda.synchronize(self.trainer.device)
        return time.perf_counter() - started

    def block(self) -> int:
        """How many steps are timed at once."""
        self.run(WARM_UP)
        return max(1, math.ceil(BLOCK_SECONDS / self.run(1)))


def time_in_turn(steppers: Sequence[Stepper], pairs: int) -> list[list[float]]:
    """Seconds a step, a list for each stepper: ``pairs`` blocks of each in turn, each round in the other order.

    A machine that slows down for a while so slows all.
    """
    blocks = [stepper.block() for stepper in steppers]
    seconds: list[list[float]] = [[] for _ in steppers]
    for pair in range(pairs):
        order = range(len(steppers)) if pair % 2 else reversed(range(len(steppers)))
        for index in order:
            seconds[index].append(steppers[index].run(blocks[index]) / blocks[index])
    return seconds
