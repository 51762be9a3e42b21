"""The losses against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ganbench.options import resolve_options
from ganbench.zoo.loss.hinge import Hinge
from ganbench.zoo.loss.least_squares import LeastSquares
from ganbench.zoo.loss.nonsaturating import NonSaturating
from ganbench.zoo.loss.wasserstein import Wasserstein

REAL = torch.tensor([2.0, 0.5, -1.0], dtype=torch.float64)
FAKE = torch.tensor([-3.0, 0.25, 1.5], dtype=torch.float64)


def softplus(a):
    return math.log1p(math.exp(a))


@pytest.mark.parametrize(
    ("loss", "d", "g"),
    [
        # relu(1 - real) = 0, 0.5, 2; relu(1 + fake) = 0, 1.25, 2.5
        (Hinge(), 2.5 / 3 + 3.75 / 3, 1.25 / 3),
        (
            NonSaturating(),
            (softplus(-2) + softplus(-0.5) + softplus(1)) / 3 + (softplus(-3) + softplus(0.25) + softplus(1.5)) / 3,
            (softplus(3) + softplus(-0.25) + softplus(-1.5)) / 3,
        ),
        # (real - 1)^2 = 1, 0.25, 4; fake^2 = 9, 0.0625, 2.25; (fake - 1)^2 = 16, 0.5625, 0.25
        (LeastSquares(), 5.25 / 6 + 11.3125 / 6, 16.8125 / 6),
        # (fake + 1)^2 = 4, 1.5625, 6.25; fake^2 as above
        (LeastSquares(a=-1.0, b=1.0, c=0.0), 5.25 / 6 + 11.8125 / 6, 11.3125 / 6),
        (Wasserstein(), -1.25 / 3 - 0.5, 1.25 / 3),
    ],
    ids=["hinge", "nonsaturating", "least-squares", "least-squares-pearson", "wasserstein"],
)
def test_values(loss, d, g):
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(d, rel=1e-14)
    assert loss.generator(FAKE).item() == pytest.approx(g, rel=1e-14)
    assert loss.discriminator(REAL, FAKE).shape == loss.generator(FAKE).shape == ()


@pytest.mark.parametrize(
    ("loss", "d", "g"),
    [
        (Hinge(), 2, 0),
        (NonSaturating(), 2 * math.log(2), math.log(2)),
        (LeastSquares(), 0.5, 0.5),
        (Wasserstein(), 0, 0),
    ],
)
def test_an_undecided_discriminator(loss, d, g):
    zero = torch.zeros(4)
    assert loss.discriminator(zero, zero).item() == pytest.approx(d)
    assert loss.generator(zero).item() == pytest.approx(g)


@pytest.mark.parametrize("loss", [Hinge(), NonSaturating(), LeastSquares(), Wasserstein()])
def test_each_side_pulls_the_logits_its_way(loss):
    real, fake = (torch.zeros(3, requires_grad=True) for _ in range(2))
    loss.discriminator(real, fake).backward()
    # Least squares on a fake logit that already is 0 has nothing to pull.
    assert (real.grad < 0).all()
    assert (fake.grad >= 0).all()
    fake.grad = None
    loss.generator(fake).backward()
    assert (fake.grad < 0).all()


def test_the_nonsaturating_loss_is_finite_for_extreme_logits():
    extreme = torch.tensor([1e4, -1e4])
    assert NonSaturating().discriminator(extreme, extreme).isfinite()
    assert NonSaturating().generator(extreme).isfinite()


def test_only_least_squares_has_options():
    assert resolve_options(LeastSquares, {"c": 0.5}, "loss") == {"a": 0.0, "b": 1.0, "c": 0.5}
    for loss in (Hinge, NonSaturating, Wasserstein):
        assert resolve_options(loss, {}, "loss") == {}
