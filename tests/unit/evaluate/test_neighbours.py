"""Precision, recall, density and coverage: by hand, by their definitions, and as torch-fidelity has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

import ganbench.evaluate.neighbours as module
from ganbench.evaluate.neighbours import neighbourhoods, radii
from ganbench.random import generator


def on_a_line(*places: float) -> torch.Tensor:
    return torch.tensor(places)[:, None]


def test_radii_by_hand() -> None:
    line = on_a_line(0, 1, 3, 10)
    assert radii(line, 1).tolist() == [1, 1, 2, 7]
    assert radii(line, 2).tolist() == [3, 2, 3, 9]
    assert radii(line, 3).tolist() == [10, 9, 7, 10]


def test_all_four_by_hand() -> None:
    # Real balls for k = 1: [-1, 1], [0, 2], [1, 5], [3, 17]. Generated: [0.4, 0.6], [0.5, 0.7], [0.6, 160.6].
    real, fake = on_a_line(0, 1, 3, 10), on_a_line(0.5, 0.6, 80.6)
    found = neighbourhoods(fake, real, radii(real, 1), 1)
    assert found.precision == pytest.approx(2 / 3)  # 80.6 is in no real ball
    assert found.recall == pytest.approx(3 / 4)  # the wide ball around 80.6 holds all but 0
    assert found.density == pytest.approx((2 + 2 + 0) / 3)  # 0.5 and 0.6 each lie in two real balls
    assert found.coverage == pytest.approx(2 / 4)  # [-1, 1] and [0, 2]
    # With k = 2 the balls are [-3, 3], [-1, 3], [0, 6], [1, 19], of which 0.5 and 0.6 lie in three each.
    again = neighbourhoods(fake, real, radii(real, 2), 2)
    assert again.density == pytest.approx((3 + 3 + 0) / (2 * 3))
    assert again.coverage == pytest.approx(3 / 4)


def naeem(fake: NDArray[np.float64], real: NDArray[np.float64], k: int) -> tuple[float, float]:
    """Density and coverage as the paper defines them, in loops."""

    def apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.sqrt(((a - b) ** 2).sum()))

    balls = [sorted(apart(x, y) for j, y in enumerate(real) if j != i)[k - 1] for i, x in enumerate(real)]
    inside = [[apart(x, y) <= ball for x, ball in zip(real, balls, strict=True)] for y in fake]
    density = sum(map(sum, inside)) / (k * len(fake))
    return density, sum(any(row[i] for row in inside) for i in range(len(real))) / len(real)


@settings(max_examples=25)
@given(st.integers(6, 30), st.integers(6, 30), st.integers(1, 5), st.integers(1, 40))
def test_definitions(fakes: int, reals: int, k: int, size: int) -> None:
    draws = generator(fakes * reals, "features")
    fake = torch.randn(fakes, size, generator=draws, dtype=torch.float64) * 1.2
    real = torch.randn(reals, size, generator=draws, dtype=torch.float64)
    found = neighbourhoods(fake, real, radii(real, k), k)
    assert (found.density, found.coverage) == pytest.approx(naeem(fake.numpy(), real.numpy(), k), rel=1e-12)
    theirs = prc_features_to_metric(fake, real, prc_neighborhood=k, prc_batch_size=7, save_cpu_ram=True, verbose=False)
    expected = (theirs[KEY_METRIC_PRECISION], theirs[KEY_METRIC_RECALL])
    assert (found.precision, found.recall) == pytest.approx(expected, rel=1e-6)


def test_a_set_beside_itself() -> None:
    features = torch.randn(200, 16, generator=generator(0, "features"))
    found = neighbourhoods(features, features, radii(features, 3), 3)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    # Every image also lies in its own ball; those on the rim of another's may be rounded out of it.
    assert found.density == pytest.approx(1 + 1 / 3, rel=0.01)


def test_stripes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = generator(0, "features")
    fake, real = torch.randn(90, 30, generator=draws), torch.randn(70, 30, generator=draws)
    whole = neighbourhoods(fake, real, radii(real, 3), 3)
    monkeypatch.setattr(module, "_ELEMENTS", 200)
    monkeypatch.setattr(module, "_COLUMNS", 11)
    assert neighbourhoods(fake, real, radii(real, 3), 3) == whole
