"""Results folders written as runs would leave them, without training: cheap, and the right answers are known."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganbench.drafts import Draft, merge, nest
from ganbench.evaluate.names import labelled
from ganbench.options import parse_assignment
from ganbench.planning import plan
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.spec import RunSpec, identity
from ganbench.store import RESULT_SCHEMA, JSONLines, RunFolder, write_json
from ganbench.suites import PlannedRow, Suite, load_suite

FINGERPRINT = hashlib.sha256(b"some images").hexdigest()
PER_STEP = {"g_steps": 1, "d_steps": 1, "real_images": 16, "fake_images": 32, "flops": 1_000_000}
STEPS = 750
"""Of a run in the profile quick: 12,000 images of 16."""


def overrides(*assignments: str) -> list[Draft]:
    """``--set`` as a draft."""
    draft: Draft = {}
    for text in assignments:
        draft = merge(draft, nest(*parse_assignment(text)))
    return [draft] if draft else []


@functools.cache
def _planned(suite: str, profile: str, given: str) -> list[PlannedRow]:
    book = RecipeBook()
    return plan(load_suite(book, suite), profile, Registry.discover([]), book, [0], json.loads(given))


def plan_once(
    suite: Suite, profile: str, registry: Registry, book: RecipeBook, seeds: Sequence[int], given: Sequence[Draft] = ()
) -> list[PlannedRow]:
    """``ganbench.planning.plan`` with its answers kept: it builds every network of a suite to give one."""
    assert list(seeds) == [0]
    if profile not in suite.profiles:
        return plan(suite, profile, registry, book, seeds, given)
    return _planned(suite.name, profile, json.dumps(list(given)))


class Synthetic:
    """A results folder of one suite."""

    def __init__(self, results: Path, suite: str, profile: str = "quick") -> None:
        self.results, self.profile = results, profile
        self.suite = suite
        results.mkdir(parents=True, exist_ok=True)

    def spec(self, row: str, seed: int, *assignments: str) -> RunSpec:
        """What a run of the row would have: the plan, and the data's fingerprint."""
        planned = _planned(self.suite, self.profile, json.dumps(overrides(*assignments)))
        (spec,) = next(each for each in planned if each.row.name == row).specs
        dataset = spec.dataset.model_copy(update={"fingerprint": FINGERPRINT})
        return spec.model_copy(update={"dataset": dataset, "seed": seed})

    def run(
        self,
        row: str,
        seed: int,
        fcd: float | None = None,
        *assignments: str,
        status: str = "finished",
        curve: Sequence[float] = (),
        seconds: float = 100.0,
        flops: int = PER_STEP["flops"],
        spec: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
        **scores: float,
    ) -> Path:
        """One run: its final and best fcd, or the given scores, and evenly spaced scores on the way.

        ``spec`` and ``result`` are laid over what is written.
        """
        planned = self.spec(row, seed, *assignments).model_copy(update=dict(spec or {}))
        folder = RunFolder(self.results, planned)
        folder.create()
        if status == "failed":
            write_json(folder.failure, {"error": "RuntimeError: no", "traceback": ""})
        spent = {**{key: per_step * STEPS for key, per_step in PER_STEP.items()}, "flops": flops * STEPS}
        self._curve(folder, curve, seconds, flops)
        if status not in ("failed", "unfinished"):
            named = {"classifier_score": 5.0, **({} if fcd is None else {"fcd": fcd}), **scores}
            write_json(folder.result, self._result(folder, status, named, spent, seconds) | dict(result or {}))
        return folder.path

    def _curve(self, folder: RunFolder, curve: Sequence[float], seconds: float, flops: int) -> None:
        metrics, timing = JSONLines(folder.metrics), JSONLines(folder.timing)
        n = folder.spec.evaluation.count_selecting
        for index, value in enumerate(curve):
            step = index * STEPS // max(1, len(curve) - 1)
            counters = {**{key: per_step * step for key, per_step in PER_STEP.items()}, "flops": flops * step}
            scores = {labelled("fcd", n): value, labelled("classifier_score", n): 1.0 + index}
            metrics.append({"event": "losses", "step": step, "loss_d": 1.0, "loss_g": 1.0, **counters})
            metrics.append({"event": "scores", "step": step, "samples": "select", "n": n, "scores": scores, **counters})
            for event in ("losses", "scores"):
                time = {"train_seconds": seconds * step / STEPS, "evaluation_seconds": 0.0}
                timing.append({"event": event, "step": step, **time})
        metrics.close()
        timing.close()

    def _result(
        self, folder: RunFolder, status: str, scores: dict[str, float], spent: dict[str, int], seconds: float
    ) -> dict[str, Any]:
        spec = folder.spec
        protocol = {
            "extractor": {**spec.evaluation.extractor.model_dump(mode="json"), "inception": False},
            "samples": {"count": spec.evaluation.samples},
        }
        return {
            "schema": RESULT_SCHEMA,
            "run_id": spec.run_id,
            "cell_id": spec.cell_id,
            "model": spec.model,
            "status": status,
            "primary": "fcd",
            "protocol": protocol,
            "protocol_id": identity(protocol),
            "scores": {
                "final": scores if status == "finished" else None,
                "best": {name: value - 1 if name == "fcd" else value for name, value in scores.items()},
                "untrained": {"fcd": 200.0, "classifier_score": 1.0},
                "floor": {"fcd": 0.0875, "classifier_score": 9.25},
            },
            "best_step": STEPS,
            "counters": {**spent, "train_seconds": seconds},
            "cost": {
                "evaluation_seconds": 10.0,
                "images_per_second": 120.0,
                "peak_memory_bytes": 1_000_000_000 + spec.seed,
                "flops_per_step": spent["flops"] / STEPS,
            },
            "parameters": {"generator": 131_000, "discriminator": 17_500},
            "artefacts": {},
        }
