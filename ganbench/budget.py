"""Counters of what a run spends, and amounts of one of them: budgets and evaluation intervals."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CounterName = Literal["g_steps", "real_images", "train_seconds", "flops"]

UNITS: dict[str, tuple[CounterName, float]] = {
    "steps": ("g_steps", 1),
    "kimg": ("real_images", 1e3),
    "s": ("train_seconds", 1),
    "min": ("train_seconds", 60),
    "h": ("train_seconds", 3600),
    "pflop": ("flops", 1e15),
}
"""What may follow the number: generator steps, thousands of real images shown to D, training time, work."""

_SHOWN: dict[CounterName, tuple[str, float]] = {
    "g_steps": ("steps", 1),
    "real_images": ("kimg", 1e3),
    "train_seconds": ("s", 1),
    "flops": ("pflop", 1e15),
}


@dataclass
class Counters:
    """What a run has spent so far; evaluation, sampling and checkpointing are not in ``train_seconds``."""

    g_steps: int = 0
    """Updates of the generator."""
    d_steps: int = 0
    """Updates of the discriminator."""
    real_images: int = 0
    """Real images shown to the discriminator."""
    fake_images: int = 0
    """Generated images shown to the discriminator, in its own and in the generator's updates."""
    flops: int = 0
    """Floating-point operations of forward and backward passes, spectral norm's products included."""
    train_seconds: float = 0.0


class Amount(BaseModel):
    """So much of one counter; written ``2000steps``, ``128kimg``, ``10min``, ``5pflop``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counter: CounterName
    amount: float = Field(gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]+)\s*", value)
        if match is None or match[2] not in UNITS:
            raise ValueError(f"should be a number and a unit ({', '.join(UNITS)}), as in 2000steps")
        counter, scale = UNITS[match[2]]
        try:
            return {"counter": counter, "amount": float(match[1]) * scale}
        except ValueError:
            raise ValueError(f"'{match[1]}' is not a number") from None

    def spent(self, counters: Counters) -> float:
        """The share of this amount that the counters have reached; 1 and more when it is used up."""
        return float(getattr(counters, self.counter)) / self.amount

    def __str__(self) -> str:
        unit, scale = _SHOWN[self.counter]
        return f"{self.amount / scale!r}".removesuffix(".0") + unit
