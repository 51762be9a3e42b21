"""The Frechet distance of two Gaussians, fitted to two sets of features.

d = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2). With S2 = A A^T the last trace is the sum of the square
roots of the eigenvalues of A^T S1 A, which is symmetric; where there are fewer images than features it is the
sum of the singular values of X A, X the centred features: exact where the general eigenvalues and the matrix
square root that the libraries take lose half their digits. All in float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench.errors import EvaluationError

_ROWS = 4096
"""Features that are converted to float64 at a time."""


class Gaussian(NamedTuple):
    """A Gaussian as the reference side of distances; float64."""

    mean: Tensor
    """[D]."""
    factor: Tensor
    """A, [D, r] with r <= min(N, D): the covariance is A A^T."""

    @property
    def trace(self) -> float:
        """Of the covariance."""
        return self.factor.square().sum().item()


def fit(features: Tensor) -> Gaussian:
    """The Gaussian of features [N, D], N >= 2, by their mean and their unbiased covariance."""
    count, size = features.shape
    if count < size:
        mean, centred = _centred(features)
        return Gaussian(mean, centred.T / math.sqrt(count - 1))
    mean, covariance = moments(features)
    values, vectors = torch.linalg.eigh(covariance)
    # What lies below the rounding of the largest is 0: a covariance of fewer dimensions than features.
    kept = values > values[-1] * size * torch.finfo(torch.float64).eps
    return Gaussian(mean, vectors[:, kept] * values[kept].sqrt())


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] of features [N, D], float64; N D numbers are never held twice.

    Raises EvaluationError where they overflow.
    """
    mean = _mean(features)
    covariance = torch.zeros(2 * [features.shape[1]], dtype=torch.float64)
    for rows in torch.split(features, _ROWS):
        centred = rows.double() - mean
        covariance.addmm_(centred.T, centred)
    covariance /= len(features) - 1
    if not covariance.isfinite().all():
        raise EvaluationError("the features' covariance is not finite: the extractor or its weights are broken")
    return mean, covariance


def distance(features: Tensor, reference: Gaussian) -> float:
    """The Frechet distance of features [N, D], N >= 2, from a reference: 0 or more but for rounding."""
    count, size = features.shape
    if count < size:
        mean, centred = _centred(features)
        scale = math.sqrt(count - 1)
        trace = float(centred.square().sum()) / (count - 1)
        shared = float(torch.linalg.svdvals(centred @ reference.factor).sum()) / scale
    else:
        mean, covariance = moments(features)
        trace = float(covariance.trace())
        product = reference.factor.T @ covariance @ reference.factor
        shared = float(torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum())
    apart = float((mean - reference.mean).square().sum())
    return apart + trace + reference.trace - 2 * shared


def _mean(features: Tensor) -> Tensor:
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    for rows in torch.split(features, _ROWS):
        total += rows.double().sum(0)
    return total / len(features)


def _centred(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and the differences from it [N, D], float64."""
    mean = _mean(features)
    centred = features.double() - mean
    if not centred.square().sum().isfinite():
        raise EvaluationError("the features' covariance is not finite: the extractor or its weights are broken")
    return mean, centred
