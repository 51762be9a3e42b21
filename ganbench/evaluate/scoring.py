"""Scores of a stack of images against a reference, all from one pass of one extractor.

Distances are computed in float64, and nothing here changes a global random state. Each family of metrics has
its own file; this one joins them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from ganbench.errors import UsageError
from ganbench.evaluate.features import (
    Extractor,
    Features,
    card_of,
    check_finite,
    clean_features_of,
    extract,
    metric_layers,
)
from ganbench.evaluate.frechet import Gaussian, distance, fit
from ganbench.evaluate.inception_score import inception_score
from ganbench.evaluate.intra import ClassReferences
from ganbench.evaluate.kernel import kernel_distance
from ganbench.evaluate.names import names_of, score_names
from ganbench.evaluate.neighbours import neighbourhoods, radii
from ganbench.evaluate.references import Forgetful, Statistics
from ganbench.images import Images
from ganbench.spec import DEFAULT_FAMILIES, MetricFamily, MetricSettings

_READS = {"isc": "isc", "fid": "fid", "intra-fid": "fid", "kid": "kid", "prc": "prc"}
"""Which of torch-fidelity's metrics a family shares its layer with; clean-fid reads another resize's features."""


@dataclass(frozen=True)
class Scores:
    """What one stack of images scores."""

    values: dict[str, float]
    """By name, all finite, in the order of :func:`ganbench.evaluate.names.score_names`."""
    n: int
    """Images."""
    seconds: float
    """Spent on their features and scores, not on making them."""
    by_class: list[float] | None = None
    """The intra-class distances, by label; None where they were not asked for."""


class Reference:
    """Real images that others are scored against: what is needed of them is computed once, and kept.

    ``images`` is uint8 [N, 3, H, W]; ``labels``, int64 [N], are needed by ``intra-fid`` alone. ``extractor`` is
    constructed with the layers of :func:`ganbench.evaluate.features.feature_layers` and stays on its device.
    ``clean-fid`` is left out for one that resizes and has no ``clean_features``. ``statistics`` is where the
    reference's are kept from one process to the next.

    Raises UsageError for images that are too few for the settings or of a size that the extractor does not
    take, MissingError for an extractor without a card or without one of the layers, EvaluationError for
    features that are not finite.
    """

    def __init__(
        self,
        extractor: Extractor,
        images: Images,
        settings: MetricSettings,
        *,
        labels: Tensor | None = None,
        families: Sequence[MetricFamily] = DEFAULT_FAMILIES,
        batch: int = 64,
        statistics: Statistics | None = None,
    ) -> None:
        card = card_of(extractor)
        self._inception, self._resizes = card.inception, card.resize != "none"
        cleans = not self._resizes or clean_features_of(extractor) is not None
        self.families = tuple(family for family in families if cleans or family != "clean-fid")
        self.names = score_names(self.families, inception=self._inception)
        self.settings, self.size = settings, len(images)
        settings.check(self.size, "reference images", self.families)
        if "intra-fid" in self.families and labels is None:
            raise UsageError("intra-fid compares class by class, and the reference has no labels: leave it out")
        self._extractor, self._batch = extractor, batch
        self._images, self._labels = images, labels
        self._layer = metric_layers(extractor)
        self._statistics = statistics or Forgetful()
        self._prepare()

    def score(self, images: Images, labels: Tensor | None = None) -> Scores:
        """Score images, uint8 [N, 3, H, W]; ``labels``, int64 [N], say what they were to show, for ``intra-fid``.

        Raises UsageError for images that are too few for the settings or of the wrong size, EvaluationError
        where a feature or a score is not finite.
        """
        started = time.perf_counter()
        self.settings.check(len(images), "generated images", self.families)
        if "intra-fid" in self.families and labels is None:
            raise UsageError("intra-fid compares class by class, and the generated images have no labels: leave it out")
        values, by_class = self.score_features(self.features(images), labels)
        return Scores(values, len(images), time.perf_counter() - started, by_class)

    def features(self, images: Images) -> Features:
        """What the scores are computed from: one pass over the images, and a second where the clean resize differs."""
        layers = {self._layer[_READS[family]] for family in self.families if family != "clean-fid"}
        return self._extract(images, layers | self._clean_layers, clean="clean-fid" in self.families and self._resizes)

    def score_features(self, features: Features, labels: Tensor | None) -> tuple[dict[str, float], list[float] | None]:
        """The scores of features, and the intra-class distances by label."""
        by_class = None
        if "intra-fid" in self.families:
            assert labels is not None
            by_class = self._classes.distances(features.layers[self._layer["fid"]], labels)
        found = self._by_family(features)
        if by_class is not None:
            found["intra-fid"] = (sum(by_class) / len(by_class),)
        values = {
            name: value
            for family in self.families
            for name, value in zip(names_of(family, inception=self._inception), found[family], strict=True)
        }
        for name, value in values.items():
            check_finite(bool(np.isfinite(value)), f"the score {name}")
        return {name: values[name] for name in self.names}, by_class

    def _by_family(self, features: Features) -> dict[str, Sequence[float]]:
        settings, layers, found = self.settings, features.layers, dict[str, Sequence[float]]()
        if "isc" in self.families:
            found["isc"] = inception_score(layers[self._layer["isc"]], settings.isc_splits)
        if "fid" in self.families or self._clean_layers:
            found["fid"] = (distance(layers[self._layer["fid"]], self._gaussian),)
        if "clean-fid" in self.families:
            # Without a resize both libraries have the same features, and the same distance.
            found["clean-fid"] = found["fid"] if features.clean is None else (distance(features.clean, self._clean),)
        if "kid" in self.families:
            layer = self._layer["kid"]
            found["kid"] = kernel_distance(
                layers[layer], self._real[layer], settings.kid_subsets, settings.kid_subset_size
            )
        if "prc" in self.families:
            layer = self._layer["prc"]
            found["prc"] = neighbourhoods(layers[layer], self._real[layer], self._radii, settings.prc_k)
        return found

    def _prepare(self) -> None:
        """Compute now what the scores will need, so that what is wrong with the reference is told at once."""
        needed = {"fid": "_gaussian", "kid": "_real", "prc": "_radii", "intra-fid": "_classes"}
        for family in self.families:
            if family == "clean-fid":
                getattr(self, "_clean" if self._resizes else "_gaussian")
            elif family in needed:
                getattr(self, needed[family])

    @property
    def _clean_layers(self) -> set[str]:
        """The layer that gives clean-fid's features where nothing is resized."""
        return {self._layer["fid"]} if "clean-fid" in self.families and not self._resizes else set()

    def _extract(self, images: Images, layers: set[str], *, clean: bool) -> Features:
        return extract(self._extractor, images, sorted(layers), clean=clean, batch=self._batch)

    @cached_property
    def _real(self) -> dict[str, Tensor]:
        """Features by layer, whatever the metrics: another choice of them finds the same file."""
        layers = {self._layer[metric] for metric in ("fid", "kid", "prc")}
        return self._statistics.get("features", lambda: self._extract(self._images, layers, clean=False).layers)

    @cached_property
    def _gaussian(self) -> Gaussian:
        layer = self._layer["fid"]
        return Gaussian(**self._statistics.get("Gaussian", lambda: fit(self._real[layer])._asdict()))

    @cached_property
    def _clean(self) -> Gaussian:
        def compute() -> dict[str, Tensor]:
            features = self._extract(self._images, set(), clean=True).clean
            assert features is not None
            return fit(features)._asdict()

        return Gaussian(**self._statistics.get("clean Gaussian", compute))

    @cached_property
    def _radii(self) -> Tensor:
        layer, k = self._layer["prc"], self.settings.prc_k
        return self._statistics.get(f"radii, k={k}", lambda: {"radii": radii(self._real[layer], k)})["radii"]

    @cached_property
    def _classes(self) -> ClassReferences:
        assert self._labels is not None
        return ClassReferences(self._real[self._layer["fid"]], self._labels, int(self._labels.max()) + 1)
