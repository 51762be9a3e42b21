"""Distances class by class."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

import ganbench.evaluate.intra as module
from ganbench.errors import UsageError
from ganbench.evaluate.intra import ClassReferences, evenly_spread
from ganbench.random import generator


def draw(counts: list[int], size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features around a place of their class, in shuffled order, with labels."""
    draws = generator(seed, "features")
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=draws)]
    return torch.randn(len(labels), size, generator=draws, dtype=torch.float64) + labels[:, None], labels


@pytest.mark.parametrize("size", [8, 64])
def test_each_class_has_torch_fidelitys_distance(size: int) -> None:
    real, real_labels = draw([30, 50, 40], size, 0)
    fake, labels = draw([20, 21, 20], size, 1)
    found = ClassReferences(real, real_labels, 3).distances(fake, labels)
    for label, value in enumerate(found):
        sides = [fid_features_to_statistics(s[of == label]) for s, of in ((fake, labels), (real, real_labels))]
        assert value == pytest.approx(fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID], rel=1e-5)


def test_a_class_shown_as_another_is_seen_where_the_whole_looks_right() -> None:
    real, real_labels = draw([100, 100], 8, 0)
    fake, labels = draw([50, 50], 8, 1)
    reference = ClassReferences(real, real_labels, 2)
    right, swapped = reference.distances(fake, labels), reference.distances(fake, 1 - labels)
    assert min(swapped) > 5 * max(right)


def test_only_a_costly_reference_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    original = module.fit
    monkeypatch.setattr(module, "fit", lambda features: asked.append(len(features)) or original(features))
    real, labels = draw([5, 60], 8, 0)
    reference = ClassReferences(real, labels, 2)
    for _ in range(2):
        reference.distances(real, torch.arange(65) % 2)
    assert asked == [5, 60, 5]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([10, 1, 10], "at least 2 generated images of every class, but class 1 has 1"),
        ([10, 10, 0], "at least 2 generated images of every class, but class 2 has 0"),
        ([10, 21, 11], "class 0 has 10 and class 1 21: balance them"),
        ([5, 5, 5, 5], "label 3 is none of the reference's 3 classes"),
    ],
)
def test_classes_that_do_not_compare_are_refused(counts: list[int], message: str) -> None:
    real, real_labels = draw([12, 90, 12], 4, 0)
    with pytest.raises(UsageError, match=message):
        ClassReferences(real, real_labels, 3).distances(*draw(counts, 4, 1))


def test_a_class_without_real_images_is_refused() -> None:
    real, labels = draw([5, 5], 4, 0)
    with pytest.raises(UsageError, match="at least 2 reference images of every class, but class 2 has 0"):
        ClassReferences(real, labels, 3)


def test_evenly_spread() -> None:
    assert evenly_spread(torch.tensor([0, 0, 1, 1, 1, 1]), 2)
    assert not evenly_spread(torch.tensor([0, 0, 1, 1, 1, 1, 1]), 2)
    assert not evenly_spread(torch.tensor([0, 0, 1, 1]), 3)
