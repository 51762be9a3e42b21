"""A suite's plan with the runs that it asks for: what it will cost, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ganbench.store import load_runs
from ganbench.suites import PlannedRow, Suite
from ganbench.sweep.estimate import Estimator, images, spoken
from ganbench.sweep.runs import SweptRun, swept_runs


class Sweep:
    """The runs of a plan in a results folder; those that have a result are known as done from the start."""

    def __init__(self, suite: Suite, profile: str, planned: Sequence[PlannedRow], results: Path) -> None:
        self.suite, self.profile, self.planned = suite, profile, planned
        self.runs = swept_runs(planned, results)
        self.estimator = Estimator()
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

    def seconds(self, runs: Sequence[SweptRun]) -> tuple[float, int]:
        """Of those that are to be done, one after the other; and how many of them have no like run on record."""
        each = [self.estimator.seconds(run.folder.spec) for run in runs if run.open]
        return sum(seconds for seconds in each if seconds is not None), each.count(None)

    def summary(self, slots: int) -> Iterator[str]:
        """What is to be done and what it costs, in lines."""
        done = sum(run.done for run in self.runs)
        seconds, unknown = self.seconds(self.runs)
        yield f"{self.suite.title} ({self.suite.name}, profile {self.profile})"
        width = max(len(each.row.name) for each in self.planned)
        for each in self.planned:
            yield f"  {each.row.name:<{width}}  {self._row_line(each)}"
        if done == len(self.runs):
            yield f"{done} runs, all done"
            return
        shown = self.images()
        cost = f"{shown / 1e3:,.4g} kimg" if shown is not None else "images unknown"
        yield (
            f"{len(self.runs)} runs, {done} done; to do: {cost}, "
            f"{_spoken_estimate(seconds / slots, unknown)} with {slots} at a time"
        )

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
            parts.append(_spoken_estimate(*self.seconds(runs)))
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
        seconds, unknown = self.seconds(self.runs)
        return {
            "suite": self.suite.name,
            "profile": self.profile,
            "rows": [
                {
                    "row": each.row.name,
                    "absent": each.absent or None,
                    "runs": [run.describe() for run in self.of_row(each.row.name)],
                }
                for each in self.planned
            ],
            "to_do": {"images": self.images(), "seconds": None if unknown else seconds},
            "foreign": self.foreign,
        }


def _spoken_estimate(seconds: float, unknown: int) -> str:
    """``about 12 min``, with what is not known."""
    if not unknown:
        return f"about {spoken(seconds)}"
    return f"time unknown of {unknown}" + (f", of the others about {spoken(seconds)}" if seconds else "")
