"""The scores once more, by both libraries' own functions on the same features."""

from __future__ import annotations

import warnings
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from cleanfid.fid import frechet_distance
from numpy.typing import NDArray
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from ganbench.errors import EvaluationError
from ganbench.evaluate.features import Features
from ganbench.evaluate.frechet import Gaussian
from ganbench.evaluate.inception_score import SHUFFLE_SEED
from ganbench.evaluate.names import names_of

if TYPE_CHECKING:
    from ganbench.evaluate.scoring import Reference

TOLERANCE = 1e-4
"""Relative, by which a score may differ from a library's."""
_ROUNDING = 1e-6
"""Of the traces of both covariances: what the libraries' square roots lose where these are singular, and all
that is left of a distance of 0.
"""
_STRIPE = 1000

Moments = tuple[NDArray[Any], NDArray[Any]]


def crosscheck(
    reference: Reference, features: Features, labels: Tensor | None, values: dict[str, float]
) -> dict[str, float]:
    """What torch-fidelity's and clean-fid's own functions make of the features behind ``values``, by name.

    inception_score is theirs anyway, and they have neither density nor coverage; intra-fid is the mean of
    torch-fidelity's distances, class by class, and takes seconds for each. clean_fid is left out where clean-fid
    gives none, as its matrix square root may for singular covariances. Raises EvaluationError where a score
    differs from theirs.
    """
    theirs: dict[str, float] = {}
    scale = 0.0
    for family in reference.families:
        names = names_of(family, inception=reference.inception)
        found: tuple[float, ...] = ()
        if family in ("fid", "clean-fid", "intra-fid"):
            one, other = _sides(reference, features, clean=family == "clean-fid")
            scale = max(scale, float(np.trace(one[1]) + np.trace(other[1])))
        if family == "fid":
            found = (_by_torch_fidelity(one, other),)
        elif family == "clean-fid":
            found = _by_clean_fid(one, other)
        elif family == "intra-fid":
            assert labels is not None
            found = (_intra(reference, features, labels),)
        elif family == "kid":
            found = _kernel(reference, features)
        elif family == "prc":
            found = _precision_recall(reference, features)
        theirs |= zip(names, found, strict=False)
    for name, value in theirs.items():
        _compare(name, values[name], value, scale)
    return theirs


def _compare(name: str, ours: float, theirs: float, scale: float) -> None:
    allowed = max(TOLERANCE * abs(theirs), _ROUNDING * scale if name.endswith(("fid", "fcd")) else 1e-9)
    if not abs(ours - theirs) <= allowed:
        raise EvaluationError(
            f"{name} is {ours!r} here and {theirs!r} by the library's own function: more than {TOLERANCE:g} apart; "
            "report it, with the versions that 'ganbench doctor' prints"
        )


def _sides(reference: Reference, features: Features, *, clean: bool) -> tuple[Moments, Moments]:
    """Mean and covariance of the generated and of the real features, as both libraries take them."""
    if clean and features.clean is not None:
        return _moments(features.clean), _of(reference.clean_gaussian)
    return _moments(features.layers[reference.layer["fid"]]), _of(reference.gaussian)


def _moments(features: Tensor) -> Moments:
    statistics = fid_features_to_statistics(features.double())
    return statistics["mu"], statistics["sigma"]


def _of(gaussian: Gaussian) -> Moments:
    return gaussian.mean.numpy(), (gaussian.factor @ gaussian.factor.T).numpy()


def _by_torch_fidelity(fake: Moments, real: Moments) -> float:
    pair = [dict(zip(("mu", "sigma"), side, strict=True)) for side in (fake, real)]
    return float(fid_statistics_to_metric(*pair, verbose=False)[KEY_METRIC_FID])


def _by_clean_fid(fake: Moments, real: Moments) -> tuple[float, ...]:
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        # Removed in SciPy 1.18, which ganbench excludes.
        warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
        # A collapsed generator's covariance is singular, which clean-fid tells on stdout before it tries again.
        warnings.filterwarnings("ignore", "Matrix is singular")
        warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning)
        try:
            return (float(frechet_distance(*fake, *real)),)
        except ValueError:  # "Imaginary component": the square root lost its way
            return ()


def _intra(reference: Reference, features: Features, labels: Tensor) -> float:
    fake, real = features.layers[reference.layer["fid"]], reference.real[reference.layer["fid"]]
    assert reference.labels is not None
    found = [
        _by_torch_fidelity(_moments(fake[labels == label]), _moments(real[reference.labels == label]))
        for label in torch.unique(reference.labels)
    ]
    return sum(found) / len(found)


def _kernel(reference: Reference, features: Features) -> tuple[float, ...]:
    layer, settings = reference.layer["kid"], reference.settings
    result = kid_features_to_metric(
        features.layers[layer].double(),
        reference.real[layer].double(),
        kid_subsets=settings.kid_subsets,
        kid_subset_size=settings.kid_subset_size,
        rng_seed=SHUFFLE_SEED,
        verbose=False,
    )
    return result[KEY_METRIC_KID_MEAN], result[KEY_METRIC_KID_STD]


def _precision_recall(reference: Reference, features: Features) -> tuple[float, ...]:
    layer = reference.layer["prc"]
    result = prc_features_to_metric(
        features.layers[layer].double(),
        reference.real[layer].double(),
        prc_neighborhood=reference.settings.prc_k,
        prc_batch_size=_STRIPE,
        save_cpu_ram=True,
        verbose=False,
    )
    return result[KEY_METRIC_PRECISION], result[KEY_METRIC_RECALL]
