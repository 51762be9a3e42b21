"""Scores a generator under the run's protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganbench.data import ImageData
from ganbench.evaluate.bank import sample_bank
from ganbench.evaluate.extractors import make_extractor
from ganbench.evaluate.feasible import floor_split, reference_split
from ganbench.evaluate.features import metric_layers
from ganbench.evaluate.intra import evenly_spread
from ganbench.evaluate.names import labelled, names_of, score_names
from ganbench.evaluate.protocol import extractor_facts, protocol, reference_facts, reference_key, sample_facts
from ganbench.evaluate.references import Forgetful, Statistics
from ganbench.evaluate.scoring import Reference, Scores
from ganbench.evaluate.selection import select
from ganbench.places import Places
from ganbench.random import isolated
from ganbench.registry import Entry
from ganbench.spec import RunSpec, identity

Stream = Literal["select", "report"]
"""Samples that choose the best checkpoint, and others that results are stated on."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of one generator, or of the held-out images."""

    scores: Scores
    protocol_id: str
    seconds: float
    """Spent on samples, features and scores."""

    @property
    def values(self) -> dict[str, float]:
        """By name."""
        return self.scores.values

    def labelled(self) -> dict[str, float]:
        """By names that say of how many images: ``fid_5k``."""
        return {labelled(name, self.scores.n): value for name, value in self.values.items()}

    def facts(self) -> dict[str, Any]:
        """What has to be known beside the values."""
        return {"n": self.scores.n, "seconds": self.seconds, "protocol_id": self.protocol_id}


class Evaluator:
    """Samples, features and scores of one run, against real images.

    Scoring leaves the sampler and torch's global generators as they were. Reference statistics are kept below
    ``places.cache``; ``say`` is told what was wrong with those that were found.
    """

    def __init__(
        self,
        spec: RunSpec,
        data: ImageData,
        extractor: Entry,
        device: torch.device,
        places: Places,
        say: Callable[[str], None],
    ) -> None:
        self._spec, self._data, self._device, self._say = spec, data, device, say
        evaluation = spec.evaluation
        network = make_extractor(extractor, evaluation.extractor, places, device)
        split = reference_split(evaluation, spec.dataset.name, data)
        chosen = select(split, evaluation.reference_samples)
        judge = extractor_facts(evaluation.extractor, network.card, metric_layers(network), "float32")
        real = reference_facts(spec.dataset, spec.resolution, split.name, len(chosen.images))
        key = reference_key(judge, real, device)
        named = spec.dataset.fingerprint is not None
        self._statistics = Statistics(places.cache / "references", key, say) if named else Forgetful()
        self._reference = Reference(
            network,
            chosen.images,
            evaluation,
            labels=chosen.labels if data.num_classes else None,
            families=evaluation.metrics,
            batch=evaluation.batch,
            statistics=self._statistics,
        )
        self._inception = network.card.inception
        (self.primary,) = names_of("fid", inception=self._inception)
        """The score that chooses the best checkpoint and ranks the table: a Frechet distance."""
        self.protocols: dict[Stream, dict[str, Any]] = {
            stream: protocol(evaluation, self._reference.families, judge, real, sample_facts(spec, count))
            for stream, count in self._counts.items()
        }
        self._ids: dict[Stream, str] = {stream: identity(content) for stream, content in self.protocols.items()}

    @property
    def _counts(self) -> dict[Stream, int]:
        return {"select": self._spec.evaluation.count_selecting, "report": self._spec.evaluation.samples}

    @property
    def protocol(self) -> dict[str, Any]:
        """Of what is reported."""
        return self.protocols["report"]

    @property
    def protocol_id(self) -> str:
        """Of what is reported."""
        return self._ids["report"]

    def score_samples(self, sampler: nn.Module, stream: Stream) -> Evaluation:
        """Score fresh samples: fewer to choose by than to report, if the spec says so."""
        spec, started = self._spec, time.perf_counter()
        with isolated(spec.seed, f"score-{stream}"):
            bank = sample_bank(
                sampler,
                count=self._counts[stream],
                latent_dim=spec.latent_dim,
                num_classes=spec.network_classes,
                seed=spec.seed,
                stream=f"bank-{stream}",
                batch=spec.evaluation.batch,
                device=self._device,
                schedule=spec.evaluation.labels,
                truncation=spec.evaluation.truncation,
            )
            scores = self._reference.score(bank.images, bank.labels)
        return Evaluation(scores, self._ids[stream], time.perf_counter() - started)

    def score_floor(self) -> Evaluation | None:
        """Score real images that are not of the reference's split, as many as samples if there are so many.

        That is what a perfect generator would get; it is kept beside the reference. None for a data set of one split.
        """
        started, split = time.perf_counter(), floor_split(self._spec, self._data)
        if split is None:
            return None
        images, labels = select(split, self._counts["report"])
        families = self._reference.families
        if "intra-fid" in families and not evenly_spread(labels, self._data.num_classes):
            self._say(f"the split '{split.name}' has too few images of some class: there is no floor of intra-fid")
            families = tuple(family for family in families if family != "intra-fid")
        protocol_id = identity({**self.protocol, "samples": {"split": split.name, "count": len(images)}})

        def compute() -> dict[str, Tensor]:
            scores = self._reference.score(images, labels, families=families)
            found = {"values": list(scores.values.values()), "by_class": scores.by_class or []}
            return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}

        with isolated(self._spec.seed, "score-floor"):
            kept = self._statistics.get(f"floor under protocol {protocol_id}", compute)
        names = score_names(families, inception=self._inception)
        values = dict(zip(names, kept["values"].tolist(), strict=True))
        seconds = time.perf_counter() - started
        return Evaluation(Scores(values, len(images), seconds, kept["by_class"].tolist()), protocol_id, seconds)
