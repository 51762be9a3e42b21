"""What runs will cost, from the recorded speed of runs like them; where there are none, nothing is said."""

from __future__ import annotations

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


class Estimator:
    """Seconds of a run, from the last one like it that has a result."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, float]] = {}
        """By likeness: seconds for an image shown to D, and for a sample scored."""

    def learn(self, spec: RunSpec, result: dict[str, Any]) -> None:
        """Take note of what a run cost."""
        cost = result["cost"]
        self._known[_likeness(spec)] = 1 / cost["images_per_second"], cost["evaluation_seconds"] / _scored(spec)

    def learn_all(self, stored: list[StoredRun]) -> None:
        """Take note of every run that has a result."""
        for run in stored:
            if run.status == "finished":
                self.learn(run.spec, run.result)

    def seconds(self, spec: RunSpec) -> float | None:
        """Of training and scoring; None where no like run is known or the budget cannot be told in images."""
        known, shown = self._known.get(_likeness(spec)), images(spec)
        if known is None or shown is None:
            return None
        return shown * known[0] + _scored(spec) * known[1]


def spoken(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
