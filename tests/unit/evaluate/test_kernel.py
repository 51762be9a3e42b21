"""The kernel distance is torch-fidelity's, subset by subset."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from ganbench.evaluate.kernel import kernel_distance
from ganbench.random import generator


@settings(max_examples=25)
@given(st.integers(20, 60), st.integers(20, 60), st.integers(1, 5), st.integers(2, 20), st.integers(1, 30))
def test_it_is_torch_fidelitys(fakes: int, reals: int, subsets: int, size: int, features: int) -> None:
    draws = generator(fakes * reals, "features")
    fake = torch.randn(fakes, features, generator=draws, dtype=torch.float64) + 1
    real = torch.randn(reals, features, generator=draws, dtype=torch.float64)
    theirs = kid_features_to_metric(fake, real, kid_subsets=subsets, kid_subset_size=size, rng_seed=2020, verbose=False)
    mean, std = kernel_distance(fake, real, subsets, size)
    assert mean == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-9, abs=1e-9)
    assert std == pytest.approx(theirs[KEY_METRIC_KID_STD], rel=1e-9, abs=1e-9)


def test_by_hand() -> None:
    # One feature, all images in the one subset: k(x, y) = (x y + 1)^3 of fakes 1, 1 and reals 0, 0.
    fake, real = torch.ones(2, 1), torch.zeros(2, 1)
    assert kernel_distance(fake, real, 3, 2) == (8 + 1 - 2 * 1, 0)


def test_float32_features_are_computed_with_in_float64() -> None:
    draws = generator(0, "features")
    fake, real = (torch.randn(50, 200, generator=draws) + 10 for _ in range(2))
    assert kernel_distance(fake, real, 5, 40) == kernel_distance(fake.double(), real.double(), 5, 40)
