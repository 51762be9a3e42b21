"""Scores a generator under the run's protocol."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from ganbench.data import ImageData
from ganbench.evaluate.bank import sample_bank
from ganbench.evaluate.metrics import Reference, metric_layers
from ganbench.evaluate.protocol import protocol
from ganbench.random import isolated
from ganbench.registry import Entry
from ganbench.resolve import instantiate
from ganbench.spec import RunSpec, identity


class Evaluator:
    """Samples, features and scores of one run, against the training images.

    Two streams of samples: ``select`` chooses the best checkpoint, ``report`` is what results are stated
    on. Scoring leaves the sampler and torch's global generators as they were.
    """

    def __init__(self, spec: RunSpec, data: ImageData, extractor: Entry, device: torch.device) -> None:
        component = extractor.load()
        self._spec, self._data, self._device = spec, data, device
        network = instantiate(extractor, spec.evaluation.extractor)().to(device)
        network.card = component.card
        self._reference = Reference(network, data.train.images[:], spec.evaluation, batch=spec.evaluation.batch)
        self.primary = "fid" if component.card.inception else "fcd"
        """The score that chooses the best checkpoint and ranks the table: a Frechet distance."""
        self.protocol = protocol(spec, component.card, metric_layers(network), len(data.train))
        self.protocol_id = identity(self.protocol)

    def score_samples(self, sampler: nn.Module, stream: Literal["select", "report"]) -> dict[str, float]:
        """All scores of fresh samples."""
        spec = self._spec
        with isolated(spec.seed, f"score-{stream}"):
            bank = sample_bank(
                sampler,
                count=spec.evaluation.samples,
                latent_dim=spec.latent_dim,
                num_classes=spec.network_classes,
                seed=spec.seed,
                stream=f"bank-{stream}",
                batch=spec.evaluation.batch,
                device=self._device,
            )
            return self._reference.score(bank)

    def floor_scores(self) -> dict[str, float] | None:
        """All scores of the held-out real images: what a perfect generator would get; None without any."""
        if self._data.held_out is None:
            return None
        with isolated(self._spec.seed, "score-floor"):
            return self._reference.score(self._data.held_out.images[:])
