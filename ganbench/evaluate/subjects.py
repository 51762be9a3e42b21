"""What can be scored: a generator, whose samples are drawn here, or images that somebody else made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ganbench.errors import UsageError
from ganbench.evaluate.bank import Bank, sample_bank
from ganbench.evaluate.comparison import Subject
from ganbench.evaluate.protocol import sample_facts
from ganbench.evaluate.sources.generators import NamedGenerator, OpenedRun
from ganbench.evaluate.sources.stacks import ImageSet
from ganbench.evaluate.watched import WatchedGenerator
from ganbench.random import isolated
from ganbench.spec import EvaluationSpec

Say = Callable[[str], None]


def run_subject(run: OpenedRun, settings: EvaluationSpec, device: torch.device, say: Say) -> Subject:
    """A stored run's generator; the first samples are those that its result is stated on."""
    spec = run.resolved.spec.model_copy(update={"evaluation": settings})
    if run.stored.weights == "raw":
        spec = spec.model_copy(update={"ema": None})
    return _generator_subject(run.generator, sample_facts(spec, settings.samples), settings, device, say)


def third_party_subject(generator: NamedGenerator, settings: EvaluationSpec, device: torch.device, say: Say) -> Subject:
    """A third party's generator, told apart from a run's in the protocol: nobody knows its weights."""
    classes = generator.num_classes
    facts = {
        "generator": "as given",
        "mode": "eval",
        "latents": "N(0, I)",
        "truncation": settings.truncation,
        "labels": f"{settings.labels}, of {classes} classes" if classes else "none",
        "quantisation": "uint8: round((x + 1) * 127.5)",
    }
    return _generator_subject(generator, facts, settings, device, say)


def _generator_subject(
    generator: NamedGenerator, facts: dict[str, Any], settings: EvaluationSpec, device: torch.device, say: Say
) -> Subject:
    def draw(repeat: int) -> Bank:
        with isolated(generator.seed, "score-report"):
            return sample_bank(
                WatchedGenerator(generator.network, "samples", settings.samples, say),
                count=settings.samples,
                latent_dim=generator.latent_dim,
                num_classes=generator.num_classes,
                seed=generator.seed,
                stream=f"bank-report-{repeat}" if repeat else "bank-report",
                batch=settings.batch,
                device=device,
                schedule=settings.labels,
                truncation=settings.truncation,
            )

    return Subject(generator.facts, facts, draw)


def image_subject(path: Path, images: ImageSet, count: int | None) -> Subject:
    """Images that were given: ``count`` of them, drawn without repeats by a fixed rule, or all.

    Raises UsageError where there are fewer.
    """
    if count is not None and count > len(images.images):
        raise UsageError(f"{path} has {len(images.images)} images: ask for no more with --samples")
    bank = images.some(count)
    about = {"images": str(path), "sha256": images.sha256}
    return Subject(about, {"generator": "images as given"}, lambda _: bank, fixed=True)
