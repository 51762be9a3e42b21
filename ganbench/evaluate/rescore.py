"""One evaluation from its request to its record: a run, a third party's generator, or images, scored again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganbench.drafts import Draft
from ganbench.errors import StoreError, UsageError
from ganbench.evaluate.against import named_reference, own_data
from ganbench.evaluate.bank import Bank
from ganbench.evaluate.comparison import Comparison, Real, Subject, resolution_of
from ganbench.evaluate.extractors import make_extractor
from ganbench.evaluate.requests import settle
from ganbench.evaluate.resampling import resample
from ganbench.evaluate.scoring import Scores
from ganbench.evaluate.sources.generators import OpenedRun, WantedGenerator, open_run, open_third_party
from ganbench.evaluate.sources.stacks import open_images
from ganbench.evaluate.subjects import image_subject, run_subject, third_party_subject
from ganbench.places import Places
from ganbench.registry import Entry
from ganbench.spec import EvaluationSpec, identity
from ganbench.store import write_json

RECORD_SCHEMA = 1
"""Of an evaluation's record; raised when its keys change their meaning."""


@dataclass(frozen=True)
class Request:
    """What the user asks for."""

    wanted: WantedGenerator
    against: str | None
    """A data set, a folder, a zip or an ``.npz``; None: the run's own data set."""
    asked: Draft
    """What differs from the usual settings; see :func:`ganbench.evaluate.requests.asked_draft`."""
    repeats: int
    """Sets of samples to draw; 1 says nothing of the resampling error."""
    crosscheck: bool
    places: Places
    device: torch.device
    say: Callable[[str], None]


def evaluate(request: Request) -> dict[str, Any]:
    """Score what is asked for; returns the record, which a run keeps, with where it does under ``path``.

    Raises UsageError for what does not go together, and whatever is missing or broken as the modules that are
    called here say.
    """
    _check(request)
    run = open_run(request.wanted, request.device) if request.wanted.kind == "run" else None
    if run is not None and run.diverged and request.wanted.checkpoint in (None, "final"):
        request.say(f"the run diverged: this is step {run.stored.step}, the last that was kept, and no final result")
    settings, entry = _settings(request, run)
    network = make_extractor(entry, settings.extractor, request.places, request.device)
    subject = _subject(request, run, settings)
    started = time.perf_counter()
    bank = subject.draw(0)
    seconds = time.perf_counter() - started
    real = _real(request, run, settings, bank)
    comparison = Comparison(settings, network, real, request.device, request.places, request.say)
    scores = comparison.score(bank, checked=request.crosscheck)
    protocol = comparison.protocol(subject, bank)
    record = {
        "schema": RECORD_SCHEMA,
        "source": subject.about,
        "primary": comparison.primary,
        "scores": scores.values,
        "n": scores.n,
        "intra": scores.by_class or [],
        "seconds": {"samples": seconds, "scores": scores.seconds},
        "crosschecked": request.crosscheck,
        "protocol": protocol,
        "protocol_id": identity(protocol),
    }
    if request.repeats > 1:
        record |= _resampling(request, comparison, subject, scores)
    return record | {"path": None if run is None else _kept(run, record, request.say)}


def _check(request: Request) -> None:
    wanted = request.wanted
    wanted.check_options()
    if wanted.kind != "run" and request.against is None:
        raise UsageError(f"{wanted.source} is no run, so it has no data set of its own: name one with --against")
    if wanted.kind == "images" and request.repeats > 1:
        raise UsageError(f"--repeats draws other samples, and {wanted.source} holds the ones there are: leave it out")
    if request.against is None and "dataset" in request.asked:
        raise UsageError("--set dataset... is for the data set that --against names: leave it out")


def _settings(request: Request, run: OpenedRun | None) -> tuple[EvaluationSpec, Entry]:
    base = None if run is None else run.resolved.spec.evaluation
    settings, entry = settle(request.wanted.registry, base, request.asked)
    asked = request.asked.get("evaluation", {})
    if request.wanted.kind == "callable" and "samples" not in asked:
        raise UsageError("nothing says how many samples to draw: give --samples N (papers take 50000)")
    if request.wanted.kind != "images":
        settings.check(settings.samples, "samples", settings.metrics)
    if entry is None:
        assert run is not None
        entry = run.resolved.entries["evaluation.extractor"]
    return settings, entry


def _subject(request: Request, run: OpenedRun | None, settings: EvaluationSpec) -> Subject:
    wanted, device, say = request.wanted, request.device, request.say
    if run is not None:
        return run_subject(run, settings, device, say)
    if wanted.kind == "callable":
        return third_party_subject(open_third_party(wanted, device), settings, device, say)
    path = Path(wanted.source)
    images = open_images(path, skip_broken=request.places.skip_broken, say=say)
    return image_subject(path, images, request.asked.get("evaluation", {}).get("samples"))


def _real(request: Request, run: OpenedRun | None, settings: EvaluationSpec, bank: Bank) -> Real:
    if request.against is None:
        assert run is not None
        resolved = run.resolved
        return own_data(resolved.spec, resolved.entries["dataset"], settings, request.places)
    registry, resolution = request.wanted.registry, resolution_of(bank.images)
    return named_reference(request.against, request.asked, registry, resolution, settings, request.places, request.say)


def _resampling(request: Request, comparison: Comparison, subject: Subject, first: Scores) -> dict[str, Any]:
    def score(repeat: int) -> Scores:
        if repeat == 0:
            return first
        request.say(f"repeat {repeat + 1} of {request.repeats}")
        return comparison.score(subject.draw(repeat), checked=False)

    return resample(score, request.repeats)


def _kept(run: OpenedRun, record: dict[str, Any], say: Callable[[str], None]) -> str | None:
    """Keep the record with the run: ``evaluations/<protocol_id[:12]>-<checkpoint>.json``; None where it cannot be."""
    name = f"{record['protocol_id'][:12]}-{run.stored.path.stem}.json"
    path = run.folder / "evaluations" / name
    try:
        path.parent.mkdir(exist_ok=True)
        write_json(path, record)
    except (OSError, StoreError) as error:
        say(f"the evaluation is not kept with the run: {error}")
        return None
    return str(path)
