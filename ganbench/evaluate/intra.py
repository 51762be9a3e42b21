"""Frechet distances class by class: whether each label gives images of its class, and all kinds of them.

A distance of few images is biased upward, so classes compare only where they have about equally many, and
means only over equally many: the protocol holds the number.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.errors import UsageError
from ganbench.evaluate.frechet import Gaussian, distance, fit

UNEVEN = 2.0
"""Refused: a class with so many times the generated images of another."""


def evenly_spread(labels: Tensor, num_classes: int) -> bool:
    """Whether images with these labels, int64 [N], have intra-class distances that may be averaged."""
    counts = torch.bincount(labels, minlength=num_classes)
    return int(counts.min()) >= 2 and int(counts.max()) <= UNEVEN * int(counts.min())


class ClassReferences:
    """The real features of each class, from features [N, D] with labels int64 [N] of 0 to C - 1.

    Raises UsageError for a class with fewer than 2 images.
    """

    def __init__(self, features: Tensor, labels: Tensor, num_classes: int) -> None:
        self.counts = torch.bincount(labels, minlength=num_classes).tolist()
        _check_counts(self.counts, "reference images")
        self._features = features
        self._order = torch.split(torch.argsort(labels, stable=True), self.counts)
        self._kept: dict[int, Gaussian] = {}

    def distances(self, features: Tensor, labels: Tensor) -> list[float]:
        """The distance of each class's generated features from its real ones.

        Raises UsageError for a class with fewer than 2 images, or with far more than another, or for a label
        that the reference does not have.
        """
        counts = torch.bincount(labels, minlength=len(self.counts)).tolist()
        if len(counts) > len(self.counts):
            raise UsageError(f"label {len(counts) - 1} is none of the reference's {len(self.counts)} classes")
        _check_counts(counts, "generated images")
        if max(counts) > UNEVEN * min(counts):
            raise UsageError(
                f"intra-fid compares classes of equally many images, but class {counts.index(min(counts))} has "
                f"{min(counts)} and class {counts.index(max(counts))} {max(counts)}: balance them, as "
                "evaluation.labels=balanced does, or leave intra-fid out"
            )
        order = torch.split(torch.argsort(labels, stable=True), counts)
        return [distance(features[index], self._reference(label)) for label, index in enumerate(order)]

    def _reference(self, label: int) -> Gaussian:
        """Of one class; kept where it was costly, which it is not with fewer images than features."""
        if label in self._kept:
            return self._kept[label]
        features = self._features[self._order[label]]
        reference = fit(features)
        if len(features) >= features.shape[1]:
            self._kept[label] = reference
        return reference


def _check_counts(counts: list[int], what: str) -> None:
    if min(counts) < 2:
        raise UsageError(
            f"intra-fid needs at least 2 {what} of every class, but class {counts.index(min(counts))} has "
            f"{min(counts)}: give more, or leave intra-fid out of evaluation.metrics"
        )
