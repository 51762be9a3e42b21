"""The Frechet distance: closed forms, the libraries' own functions, singular and small sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from ganbench.errors import EvaluationError
from ganbench.evaluate.frechet import distance, fit, moments
from ganbench.random import generator


def draw(count: int, size: int, seed: int = 0, rank: int | None = None) -> Tensor:
    """Features of ``rank`` dimensions, correlated and far from 0."""
    draws = generator(seed, "features")
    mix = torch.randn(rank or size, size, generator=draws, dtype=torch.float64)
    return torch.randn(count, rank or size, generator=draws, dtype=torch.float64) @ mix + 3


def by_torch_fidelity(fake: Tensor, real: Tensor) -> float:
    one, other = fid_features_to_statistics(fake), fid_features_to_statistics(real)
    return float(fid_statistics_to_metric(one, other, verbose=False)[KEY_METRIC_FID])


def exactly(fake: Tensor, real: Tensor) -> float:
    """By singular values of both sets, centred: no square root of a rounded 0 is taken."""
    (x, y), scales = (s - s.mean(0) for s in (fake, real)), [math.sqrt(len(s) - 1) for s in (fake, real)]
    shared = linalg.svdvals((x / scales[0]).numpy() @ (y / scales[1]).numpy().T).sum()
    traces = sum(float((s / scale).square().sum()) for s, scale in zip((x, y), scales, strict=True))
    return float((fake.mean(0) - real.mean(0)).square().sum()) + traces - 2 * shared


@pytest.mark.parametrize("real_count", [40, 300])
@pytest.mark.parametrize("fake_count", [50, 63, 64, 65, 300])
def test_it_is_the_distance_of_the_two_gaussians(fake_count: int, real_count: int) -> None:
    fake, real = draw(fake_count, 64), draw(real_count, 64, seed=1)
    found = distance(fake, fit(real))
    assert found == pytest.approx(exactly(fake, real), rel=1e-9)
    # The general eigenvalues of a singular product are off by 3e-6.
    regular = min(fake_count, real_count) > 64
    assert found == pytest.approx(by_torch_fidelity(fake, real), rel=1e-9 if regular else 1e-4)


@given(st.floats(-5, 5), st.floats(0.1, 4), st.integers(2, 40))
def test_moved_and_scaled_by_hand(shift: float, scale: float, count: int) -> None:
    """x -> s x + t moves each of D means by (s - 1) m + t and multiplies the deviations by s."""
    real = draw(count, 8)
    fake = real * scale + shift
    mean, covariance = moments(real)
    expected = float(((scale - 1) * mean + shift).square().sum() + (scale - 1) ** 2 * covariance.trace())
    assert distance(fake, fit(real)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("count", [2, 30, 64, 65, 500])
def test_a_set_is_no_distance_from_itself(count: int) -> None:
    features = draw(count, 64)
    trace = float(features.var(0).sum())
    assert abs(distance(features, fit(features))) < 1e-9 * trace


def test_it_is_the_same_from_either_side() -> None:
    one, other = draw(30, 64), draw(200, 64, seed=1)
    assert distance(one, fit(other)) == pytest.approx(distance(other, fit(one)), rel=1e-9)


@pytest.mark.parametrize("count", [40, 200])
@pytest.mark.parametrize("rank", [1, 5])
def test_sets_of_fewer_dimensions_than_features(count: int, rank: int) -> None:
    fake, real = draw(count, 64, rank=rank), draw(200, 64, seed=1, rank=rank + 3)
    assert fit(real).factor.shape == (64, rank + 3)
    assert distance(fake, fit(real)) == pytest.approx(exactly(fake, real), rel=1e-6)


@pytest.mark.parametrize("count", [2, 200])
def test_one_image_repeated(count: int) -> None:
    real = draw(200, 64)
    repeated = real[:1].repeat(count, 1)
    mean, covariance = moments(real)
    expected = float((real[0] - mean).square().sum() + covariance.trace())
    assert distance(repeated, fit(real)) == pytest.approx(expected, rel=1e-9)
    assert distance(real, fit(repeated)) == pytest.approx(expected, rel=1e-9)
    assert distance(repeated, fit(repeated)) == pytest.approx(0, abs=1e-9)


def test_two_images_by_hand() -> None:
    # Means (1, 0) and (0, 0); variances 2 in x, 8 in x: (1) + (2 + 8) - 2 * sqrt(2 * 8) = 3.
    fake = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    real = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
    assert distance(fake, fit(real)) == pytest.approx(3, rel=1e-12)


@pytest.mark.parametrize("count", [100, 9000])
def test_moments_are_numpys_in_float64(count: int) -> None:
    features = draw(count, 16).float() + 1000  # far from 0, where float32 loses most digits
    mean, covariance = moments(features)
    np.testing.assert_allclose(mean, features.double().mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(features.double().numpy(), rowvar=False), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [64, 200])
def test_a_factor_makes_the_covariance(count: int) -> None:
    features = draw(count, 64)
    factor = fit(features).factor
    torch.testing.assert_close(factor @ factor.T, moments(features)[1], rtol=1e-9, atol=1e-9)
    assert torch.equal(factor, factor.tril()) == (count > 64)  # 64 images span 63 dimensions


def test_any_factor_of_the_covariance_will_do() -> None:
    fake, fitted = draw(200, 64), fit(draw(300, 64, seed=1))
    turn = torch.linalg.qr(torch.randn(64, 64, generator=generator(0, "turn"), dtype=torch.float64)).Q
    turned = fitted._replace(factor=fitted.factor @ turn)
    assert distance(fake, turned) == pytest.approx(distance(fake, fitted), rel=1e-9)


@pytest.mark.parametrize("count", [10, 100])
def test_what_overflows_is_an_error(count: int) -> None:
    features = draw(count, 64) * 1e300
    with pytest.raises(EvaluationError, match="covariance is not finite"):
        fit(features)
    with pytest.raises(EvaluationError, match="covariance is not finite"):
        distance(features, fit(draw(100, 64)))
