"""A suite's plan with the runs that it asks for: what it will cost, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganbench.store import load_runs
from ganbench.suites import PlannedRow, Suite
from ganbench.sweep.estimate import Estimator, images, spoken
from ganbench.sweep.runs import SweptRun, swept_runs
from ganbench.sweep.work import imagined_flops


@dataclass(frozen=True)
class Price:
    """What runs that are to be done will take, one after the other."""

    seconds: float
    """Of those that it can be told of."""
    rough: int
    """How many of these have no like run on record: told from the FLOP/s of another."""
    unknown: int
    """Of how many it cannot be told."""
    on_gpu: bool

    def __str__(self) -> str:
        told = f"{self.seconds / 3600:.3g} GPU-hours" if self.on_gpu else spoken(self.seconds)
        if self.unknown:
            others = f", of the others {'roughly' if self.rough else 'about'} {told}" if self.seconds else ""
            return f"time unknown of {self.unknown}{others}"
        return f"roughly {told} (by the FLOP/s of other runs)" if self.rough else f"about {told}"

    def describe(self) -> dict[str, Any]:
        """As JSON: ``seconds`` is null where it cannot be told of some run, ``gpu_hours`` where no GPU is at work."""
        seconds = None if self.unknown else self.seconds
        gpu_hours = seconds / 3600 if self.on_gpu and seconds is not None else None
        return {"seconds": seconds, "gpu_hours": gpu_hours, "rough": self.rough > 0}


class Sweep:
    """The runs of a plan in a results folder; those that have a result are known as done from the start."""

    def __init__(self, suite: Suite, profile: str, planned: Sequence[PlannedRow], results: Path) -> None:
        self.suite, self.profile, self.planned = suite, profile, planned
        self.runs = swept_runs(planned, results)
        self.estimator = Estimator()
        self._counted: dict[str, int | None] = {}
        """By row: FLOPs of a step of those that had to be counted."""
        self.foreign: list[str] = []
        """Folders in the place of runs that hold none of this version, each with the reason."""
        if results.is_dir():
            stored = load_runs(results)
            self.estimator.learn_all(stored.runs)
            self.foreign = stored.foreign

    def of_row(self, name: str) -> list[SweptRun]:
        """The runs of one row."""
        return [run for run in self.runs if run.row == name]

    def images(self) -> float | None:
        """Real images that the runs to be done will show their D; None where a budget does not say."""
        counts = [images(run.folder.spec) for run in self.runs if run.open]
        return None if None in counts else sum(count for count in counts if count is not None)

    def price(self, runs: Sequence[SweptRun]) -> Price:
        """Of those that are to be done."""
        seconds, rough, unknown, on_gpu = 0.0, 0, 0, False
        for run in (run for run in runs if run.open):
            spec = run.folder.spec
            like = self.estimator.like(spec)
            speed = like or self.estimator.unlike(spec, lambda row=run.row: self._flops(row))  # type: ignore[misc]
            taken = speed.seconds(spec) if speed else None
            if speed is None or taken is None:
                unknown += 1
                continue
            seconds, rough, on_gpu = seconds + taken, rough + (like is None), on_gpu or speed.on_gpu
        return Price(seconds, rough, unknown, on_gpu)

    def _flops(self, row: str) -> int | None:
        """Of one step of a row's runs."""
        if row not in self._counted:
            resolved = next(each.resolved for each in self.planned if each.row.name == row)
            self._counted[row] = imagined_flops(resolved.spec, resolved.entries) if resolved else None
        return self._counted[row]

    def summary(self, slots: int) -> Iterator[str]:
        """What is to be done and what it costs, in lines."""
        done, price = sum(run.done for run in self.runs), self.price(self.runs)
        yield f"{self.suite.title} ({self.suite.name}, profile {self.profile})"
        width = max(len(each.row.name) for each in self.planned)
        for each in self.planned:
            yield f"  {each.row.name:<{width}}  {self._row_line(each)}"
        if done == len(self.runs):
            yield f"{done} runs, all done"
            return
        shown = self.images()
        cost = f"{shown / 1e3:,.4g} kimg" if shown is not None else "images unknown"
        at_once = replace(price, seconds=price.seconds / slots, on_gpu=False)
        gpus = f", {price.seconds / 3600:.3g} GPU-hours" if price.on_gpu else ""
        yield f"{len(self.runs)} runs, {done} done; to do: {cost}, {at_once} with {slots} at a time{gpus}"

    def _row_line(self, each: PlannedRow) -> str:
        if each.absent:
            return f"not in this profile: {each.absent}"
        runs = self.of_row(each.row.name)
        counts = {
            "done": sum(run.done for run in runs),
            "half done": sum(run.begun and run.open for run in runs),
            "failed": sum(run.state == "failed" for run in runs),
        }
        parts = [f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} of {each.specs[0].budget}"]
        parts += [f"{count} {what}" for what, count in counts.items() if count or what == "done"]
        if any(run.open for run in runs):
            parts.append(str(self.price(runs)))
        return ", ".join(parts)

    def outcome(self) -> Iterator[str]:
        """What each row came to, in lines."""
        width = max(len(each.row.name) for each in self.planned)
        for each in self.planned:
            states = [run.state for run in self.of_row(each.row.name)]
            counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
            yield f"{each.row.name:<{width}}  {', '.join(counts) or f'not in this profile: {each.absent}'}"
        for run in self.runs:
            if run.state == "failed":
                yield f"{run.name} failed: {run.message}"

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "suite": self.suite.name,
            "profile": self.profile,
            "rows": [
                {
                    "row": each.row.name,
                    "absent": each.absent or None,
                    "runs": [run.describe() for run in self.of_row(each.row.name)],
                    **self.price(self.of_row(each.row.name)).describe(),
                }
                for each in self.planned
            ],
            "to_do": {"images": self.images(), **self.price(self.runs).describe()},
            "foreign": self.foreign,
        }
