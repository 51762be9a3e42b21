"""Scores of a stack of images against a reference, all from one pass of one extractor.

Distances are computed in float64, and nothing here changes a global random state. Each family of metrics has
its own file; this one joins them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from ganbench.clean_fid import CLEAN_RESIZE
from ganbench.errors import UsageError
from ganbench.evaluate.crosscheck import crosscheck
from ganbench.evaluate.features import (
    Extractor,
    Features,
    card_of,
    check_finite,
    check_layers,
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

_READS = {"isc": "isc", "fid": "fid", "clean-fid": "fid", "intra-fid": "fid", "kid": "kid", "prc": "prc"}
"""Which of torch-fidelity's metrics a family shares its layer with."""


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
    """The intra-class distances, by label; none where they were not asked for."""


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
        self.inception = card.inception
        # clean-fid's resize is the one reason to show the images to the network twice.
        self._second_pass = card.resize not in ("none", CLEAN_RESIZE)
        cleans = not self._second_pass or clean_features_of(extractor) is not None
        self.families = tuple(family for family in families if cleans or family != "clean-fid")
        self.names = score_names(self.families, inception=self.inception)
        self.settings, self.size = settings, len(images)
        settings.check(self.size, "reference images", self.families)
        if "intra-fid" in self.families and labels is None:
            raise UsageError("intra-fid compares class by class, and the reference has no labels: leave it out")
        self._extractor, self._batch = extractor, batch
        self._images, self.labels = images, labels
        self.layer = metric_layers(extractor)
        check_layers(extractor, self._layers(self.families))
        self._statistics = statistics or Forgetful()
        self._prepare()

    def score(
        self,
        images: Images,
        labels: Tensor | None = None,
        *,
        families: Collection[MetricFamily] | None = None,
        checked: bool = False,
    ) -> Scores:
        """Score images, uint8 [N, 3, H, W]; ``labels``, int64 [N], say what they were to show, for ``intra-fid``.

        ``families`` are some of the reference's; None: all. ``checked`` computes the scores once more by both
        libraries' own functions: see :func:`ganbench.evaluate.crosscheck.crosscheck`. Raises UsageError for images
        that are too few for the settings or of the wrong size, EvaluationError where a feature or a score is not
        finite or, if ``checked``, not the libraries'.
        """
        started = time.perf_counter()
        families = self.families if families is None else [family for family in self.families if family in families]
        self.settings.check(len(images), "generated images", families)
        if "intra-fid" in families and labels is None:
            raise UsageError("intra-fid compares class by class, and the generated images have no labels: leave it out")
        features = self._extract(images, self._layers(families), clean=self._second_pass and "clean-fid" in families)
        found, by_class = self._by_family(features, labels, families)
        values = {
            name: value
            for family, scores in found.items()
            for name, value in zip(names_of(family, inception=self.inception), scores, strict=True)
        }
        for name, value in values.items():
            check_finite(bool(np.isfinite(value)), f"the score {name}")
        if checked:
            crosscheck(self, features, labels, values)
        ordered = {name: values[name] for name in self.names if name in values}
        return Scores(ordered, len(images), time.perf_counter() - started, by_class)

    def _by_family(
        self, features: Features, labels: Tensor | None, families: Collection[MetricFamily]
    ) -> tuple[dict[str, Sequence[float]], list[float] | None]:
        """The scores of each family, and the intra-class distances by label."""
        settings, found, by_class = self.settings, dict[str, Sequence[float]](), None
        fake = {metric: features.layers[layer] for metric, layer in self.layer.items() if layer in features.layers}
        if "isc" in families:
            found["isc"] = inception_score(fake["isc"], settings.isc_splits)
        if "fid" in families:
            found["fid"] = (distance(fake["fid"], self.gaussian),)
        if "clean-fid" in families:
            if features.clean is not None:
                found["clean-fid"] = (distance(features.clean, self.clean_gaussian),)
            else:  # the libraries do not differ in the resize, so they have the same features and distance
                found["clean-fid"] = found.get("fid") or (distance(fake["fid"], self.gaussian),)
        if "kid" in families:
            real = self.real[self.layer["kid"]]
            found["kid"] = kernel_distance(fake["kid"], real, settings.kid_subsets, settings.kid_subset_size)
        if "prc" in families:
            found["prc"] = neighbourhoods(fake["prc"], self.real[self.layer["prc"]], self._radii, settings.prc_k)
        if "intra-fid" in families:
            assert labels is not None
            by_class = self._classes.distances(fake["fid"], labels)
            found["intra-fid"] = (sum(by_class) / len(by_class),)
        return found, by_class

    def _layers(self, families: Collection[MetricFamily]) -> list[str]:
        """What the families read in the one pass that is the extractor's own."""
        own = [family for family in families if family != "clean-fid" or not self._second_pass]
        return sorted({self.layer[_READS[family]] for family in own})

    def _extract(self, images: Images, layers: Collection[str], *, clean: bool) -> Features:
        return extract(self._extractor, images, layers, clean=clean, batch=self._batch)

    def _prepare(self) -> None:
        """Compute now what the scores will need, so that what is wrong with the reference is told at once."""
        needed = {"fid": "gaussian", "kid": "real", "prc": "_radii", "intra-fid": "_classes"}
        for family in self.families:
            if family == "clean-fid":
                getattr(self, "clean_gaussian" if self._second_pass else "gaussian")
            elif family in needed:
                getattr(self, needed[family])

    @cached_property
    def real(self) -> dict[str, Tensor]:
        """Features by layer, whatever the metrics: another choice of them finds the same file."""
        layers = {self.layer[metric] for metric in ("fid", "kid", "prc")}
        return self._statistics.get("features", lambda: self._extract(self._images, layers, clean=False).layers)

    @cached_property
    def gaussian(self) -> Gaussian:
        """Of the features that fid reads."""
        layer = self.layer["fid"]
        return Gaussian(**self._statistics.get("Gaussian", lambda: fit(self.real[layer])._asdict()))

    @cached_property
    def clean_gaussian(self) -> Gaussian:
        """Of the features of images that clean-fid's resize made."""

        def compute() -> dict[str, Tensor]:
            features = self._extract(self._images, set(), clean=True).clean
            assert features is not None
            return fit(features)._asdict()

        return Gaussian(**self._statistics.get("clean Gaussian", compute))

    @cached_property
    def _radii(self) -> Tensor:
        layer, k = self.layer["prc"], self.settings.prc_k
        return self._statistics.get(f"radii, k={k}", lambda: {"radii": radii(self.real[layer], k)})["radii"]

    @cached_property
    def _classes(self) -> ClassReferences:
        assert self.labels is not None
        return ClassReferences(self.real[self.layer["fid"]], self.labels, int(self.labels.max()) + 1)
