"""The Frechet distance of two Gaussians, fitted to two sets of features.

d = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2). With S2 = A A^T the last trace is the sum of the square
roots of the eigenvalues of A^T S1 A, which is symmetric; where there are fewer images than features it is the
sum of the singular values of X A, X the centred features: exact where the general eigenvalues and the matrix
square root that the libraries take lose half their digits. All in float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor

from ganbench.errors import EvaluationError

_ROWS = 4096
"""Features that are converted to float64 at a time."""


class Gaussian(NamedTuple):
    """A Gaussian as the reference side of distances; float64."""

    mean: Tensor
    """[D]."""
    factor: Tensor
    """A, [D, r] with r <= min(N, D): the covariance is A A^T. From :func:`fit` lower triangular where square."""

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
    factor: Tensor = vectors[:, kept] * values[kept].sqrt()
    if kept.all():
        factor = torch.linalg.qr(factor.T).R.T  # has the same product, and multiplies faster
    return Gaussian(mean, factor)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] of features [N, D], float64; N D numbers are never held twice.

    Raises EvaluationError where they overflow.
    """
    mean = _mean(features)
    covariance = np.zeros(2 * [features.shape[1]])
    for rows in torch.split(features, _ROWS):
        centred: NDArray[np.float64] = (rows.double() - mean).numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            covariance += centred.T @ centred  # numpy sees that it is symmetric, and computes one half
    covariance /= len(features) - 1
    if not np.isfinite(covariance).all():
        raise EvaluationError("the features' covariance is not finite: the extractor or its weights are broken")
    return mean, torch.from_numpy(covariance)


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
        shared = float(np.sqrt(_shared_eigenvalues(covariance, reference.factor).clip(min=0)).sum())
    apart = float((mean - reference.mean).square().sum())
    return apart + trace + reference.trace - 2 * shared


def _shared_eigenvalues(covariance: Tensor, factor: Tensor) -> NDArray[np.float64]:
    """The eigenvalues of A^T S A, with S symmetric [D, D] and the factor A [D, r]; float64 [r]."""
    if not factor.shape[1]:
        return np.zeros(0)
    if factor.shape[0] == factor.shape[1] and torch.equal(factor, factor.tril()):
        # LAPACK's way to L^T S L takes a quarter of the operations of two products. It wants columns one after
        # another, as the transposed views have them, of which it takes the upper half.
        product, _ = linalg.lapack.dsygst(covariance.T.numpy(), factor.T.numpy(), itype=2, lower=0)
    else:
        product = (factor.T @ covariance @ factor).numpy()
    values: NDArray[np.float64] = linalg.eigvalsh(product, lower=False, check_finite=False)
    return values


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
