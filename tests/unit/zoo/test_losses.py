"""The losses against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ganbench.options import resolve_options
from ganbench.zoo.loss.hinge import Hinge
from ganbench.zoo.loss.least_squares import LeastSquares
from ganbench.zoo.loss.minimax import Minimax
from ganbench.zoo.loss.nonsaturating import NonSaturating
from ganbench.zoo.loss.relativistic_hinge import RelativisticHinge
from ganbench.zoo.loss.relativistic_paired import RelativisticPaired
from ganbench.zoo.loss.wasserstein import Wasserstein

REAL = torch.tensor([2.0, 0.5, -1.0], dtype=torch.float64)
FAKE = torch.tensor([-3.0, 0.25, 1.5], dtype=torch.float64)


RELATIVISTIC = [RelativisticHinge(), RelativisticPaired()]
EVERY = [Hinge(), NonSaturating(), Minimax(), LeastSquares(), Wasserstein(), *RELATIVISTIC]


def softplus(a):
    return math.log1p(math.exp(a))


def generator_term(loss, fake, real):
    return loss.generator(fake, real) if loss in RELATIVISTIC else loss.generator(fake)


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
        (
            Minimax(),
            (softplus(-2) + softplus(-0.5) + softplus(1)) / 3 + (softplus(-3) + softplus(0.25) + softplus(1.5)) / 3,
            -(softplus(-3) + softplus(0.25) + softplus(1.5)) / 3,
        ),
        # The means are 1/2 and -5/12: real - f = 29/12, 11/12, -7/12; fake - r = -7/2, -1/4, 1.
        (RELATIVISTIC[0], (0 + 1 / 12 + 19 / 12) / 3 + (0 + 3 / 4 + 2) / 3, (4.5 + 1.25 + 0) / 3 + 5.75 / 3),
        # fake - real = -5, -1/4, 5/2
        (
            RELATIVISTIC[1],
            (softplus(-5) + softplus(-0.25) + softplus(2.5)) / 3,
            (softplus(5) + softplus(0.25) + softplus(-2.5)) / 3,
        ),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "discriminator") else "",
)
def test_values(loss, d, g):
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(d, rel=1e-14)
    assert generator_term(loss, FAKE, REAL).item() == pytest.approx(g, rel=1e-14)
    assert loss.discriminator(REAL, FAKE).shape == generator_term(loss, FAKE, REAL).shape == ()


@pytest.mark.parametrize("loss", EVERY)
def test_gradients(loss):
    # Scaled off the kinks of the hinge.
    real, fake = ((1.1 * logits).requires_grad_() for logits in (REAL, FAKE))
    torch.autograd.gradcheck(loss.discriminator, (real, fake))
    torch.autograd.gradcheck(lambda fake: generator_term(loss, fake, REAL), (fake,))


@pytest.mark.parametrize("loss", RELATIVISTIC)
def test_a_relativistic_loss_knows_no_level_of_the_logits(loss):
    assert loss.needs_real
    torch.testing.assert_close(loss.discriminator(REAL + 5, FAKE + 5), loss.discriminator(REAL, FAKE))
    torch.testing.assert_close(loss.generator(FAKE + 5, REAL + 5), loss.generator(FAKE, REAL))


def test_minimax_saturates_where_nonsaturating_pulls():
    sure = torch.tensor([-20.0], requires_grad=True)
    (minimax,) = torch.autograd.grad(Minimax().generator(sure), sure)
    (nonsaturating,) = torch.autograd.grad(NonSaturating().generator(sure), sure)
    assert abs(minimax.item()) < 1e-8
    assert nonsaturating.item() == pytest.approx(-1)


@pytest.mark.parametrize(
    ("loss", "d", "g"),
    [
        (Hinge(), 2, 0),
        (NonSaturating(), 2 * math.log(2), math.log(2)),
        (LeastSquares(), 0.5, 0.5),
        (Wasserstein(), 0, 0),
        (Minimax(), 2 * math.log(2), -math.log(2)),
        (RELATIVISTIC[0], 2, 2),
        (RELATIVISTIC[1], math.log(2), math.log(2)),
    ],
)
def test_an_undecided_discriminator(loss, d, g):
    zero = torch.zeros(4)
    assert loss.discriminator(zero, zero).item() == pytest.approx(d)
    assert generator_term(loss, zero, zero).item() == pytest.approx(g)


@pytest.mark.parametrize("loss", EVERY)
def test_each_side_pulls_the_logits_its_way(loss):
    real, fake = (torch.zeros(3, requires_grad=True) for _ in range(2))
    loss.discriminator(real, fake).backward()
    # Least squares on a fake logit that already is 0 has nothing to pull.
    assert (real.grad < 0).all()
    assert (fake.grad >= 0).all()
    fake.grad = None
    generator_term(loss, fake, real.detach()).backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("loss", EVERY)
def test_extreme_logits_give_finite_losses(loss):
    extreme = torch.tensor([1e4, -1e4])
    assert loss.discriminator(extreme, extreme.flip(0)).isfinite()
    assert generator_term(loss, extreme, extreme.flip(0)).isfinite()


def test_only_least_squares_has_options():
    assert resolve_options(LeastSquares, {"c": 0.5}, "loss") == {"a": 0.0, "b": 1.0, "c": 0.5}
    for loss in EVERY:
        if not isinstance(loss, LeastSquares):
            assert resolve_options(type(loss), {}, "loss") == {}
