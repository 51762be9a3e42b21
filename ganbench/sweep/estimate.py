"""What runs will cost, from the recorded speed of runs like them, or roughly from that of others; else nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganbench.budget import Amount
from ganbench.spec import RunSpec, identity
from ganbench.store import StoredRun


def images(spec: RunSpec) -> float | None:
    """Real images that a run shows D; None where its budget does not say."""
    return _in_images(spec, spec.budget)


def _in_images(spec: RunSpec, amount: Amount) -> float | None:
    per_unit = {"real_images": 1, "g_steps": spec.n_dis * spec.batch}
    return amount.amount * per_unit[amount.counter] if amount.counter in per_unit else None


def _scored(spec: RunSpec) -> float:
    """Samples that a run makes and scores, as far as its interval can be counted in images."""
    shown, every = images(spec), _in_images(spec, spec.evaluation.every)
    during = 1 + (int(shown / every) if shown and every else 0)
    return during * spec.evaluation.count_selecting + 2 * spec.evaluation.samples


def _likeness(spec: RunSpec) -> str:
    """Equal for specs whose steps cost the same: all but the seed, how long they train and what is scored."""
    content: dict[str, Any] = spec.model_dump(mode="json", exclude={"seed", "budget", "algo_version"})
    del content["dataset"]["fingerprint"]
    content["evaluation"] = content["evaluation"]["extractor"]["name"]
    return identity(content)


@dataclass(frozen=True)
class Speed:
    """What a run took."""

    image_seconds: float
    """For an image shown to D."""
    sample_seconds: float
    """For a sample scored."""
    image_flops: float
    """For an image shown to D; 0 where that was not recorded."""
    device: str
    """The processor's or GPU's name; empty where that was not recorded."""
    on_gpu: bool

    def seconds(self, spec: RunSpec) -> float | None:
        """Of training and scoring at this speed; None where the budget cannot be told in images."""
        shown = images(spec)
        return None if shown is None else shown * self.image_seconds + _scored(spec) * self.sample_seconds


class Estimator:
    """Seconds of a run, from the last one like it that has a result; roughly, from one that is unlike it."""

    def __init__(self) -> None:
        self._known: dict[str, Speed] = {}
        """By likeness."""

    def learn(self, spec: RunSpec, result: dict[str, Any]) -> None:
        """Take note of what a run cost."""
        cost, (device, on_gpu) = result["cost"], _device(result)
        self._known[_likeness(spec)] = Speed(
            1 / cost["images_per_second"],
            cost["evaluation_seconds"] / _scored(spec),
            cost.get("flops_per_step", 0) / (spec.n_dis * spec.batch),
            device,
            on_gpu,
        )

    def learn_all(self, stored: list[StoredRun]) -> None:
        """Take note of every run that has a result."""
        for run in stored:
            if run.status == "finished":
                self.learn(run.spec, run.result)

    def like(self, spec: RunSpec) -> Speed | None:
        """The speed of the last run like it."""
        return self._known.get(_likeness(spec))

    def seconds(self, spec: RunSpec) -> float | None:
        """Of training and scoring; None where no like run is known or the budget cannot be told in images."""
        known = self.like(spec)
        return None if known is None else known.seconds(spec)

    def unlike(self, spec: RunSpec, count: Callable[[], int | None]) -> Speed | None:
        """A rough speed, from the FLOP/s of the run whose step is nearest in FLOPs; ``count`` tells those of a step.

        Of the device that most runs were made on. None where none was recorded or ``count`` cannot tell.
        """
        recorded = [speed for speed in self._known.values() if speed.image_flops]
        flops = count() if recorded else None
        if not flops:
            return None
        image_flops = flops / (spec.n_dis * spec.batch)
        (device, _), *_ = Counter(speed.device for speed in recorded).most_common(1)
        nearest = min(
            (speed for speed in recorded if speed.device == device),
            key=lambda speed: abs(math.log(speed.image_flops / image_flops)),
        )
        factor = image_flops / nearest.image_flops
        return replace(nearest, image_seconds=nearest.image_seconds * factor, image_flops=image_flops)


def _device(result: dict[str, Any]) -> tuple[str, bool]:
    """On what a run was made, and whether that is a GPU, as its folder tells."""
    try:
        environment = json.loads((Path(result["path"]) / "env.json").read_text(encoding="utf-8"))
        return environment["device_name"], environment["device"].startswith("cuda")
    except (KeyError, OSError, ValueError):  # not recorded
        return "", False


def spoken(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
