"""The regularizers against values computed by hand, and their second-order gradients against differences."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ganbench.api import Combination, DiscriminatorUpdate, input_gradients
from ganbench.options import resolve_options
from ganbench.zoo.normalizer.spectral import spectral
from ganbench.zoo.regularizer.consistency import Consistency
from ganbench.zoo.regularizer.dragan import DRAGAN
from ganbench.zoo.regularizer.gradient_penalty import GradientPenalty
from ganbench.zoo.regularizer.interpolates import interpolates
from ganbench.zoo.regularizer.lecam import LeCam
from ganbench.zoo.regularizer.r1 import R1
from ganbench.zoo.regularizer.r2 import R2
from ganbench.zoo.regularizer.zero_centered import ZeroCentered

GRADIENTS = [GradientPenalty, R1, R2, DRAGAN, ZeroCentered]
EVERY = [*GRADIENTS, LeCam, Consistency]
every = pytest.mark.parametrize("regularizer", EVERY)
gradients = pytest.mark.parametrize("regularizer", GRADIENTS)


def images(seed, batch=3, side=8):
    return torch.rand(batch, 3, side, side, dtype=torch.float64, generator=draws(seed)) * 2 - 1


def draws(seed=7):
    return torch.Generator().manual_seed(seed)


def update(judge, real=None, fake=None, seed=7, labels=(None, None)):
    real, fake = images(1) if real is None else real, images(2) if fake is None else fake
    return DiscriminatorUpdate(judge, real, fake, *labels, judge(real, labels[0]), judge(fake, labels[1]), draws(seed))


class Attending(nn.Module):
    """A smooth D with a convolution, fused attention and a linear layer: few parameters, float64."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, stride=2, padding=1)
        self.query = nn.Conv2d(2, 2, 1, bias=False)
        self.linear = nn.Linear(2, 1)
        self.double()

    def forward(self, x, y=None):
        h = torch.tanh(self.conv(x))
        q, v = (t.flatten(2).mT.contiguous().unsqueeze(1) for t in (self.query(h), h))
        h = h + F.scaled_dot_product_attention(q, v, v, scale=1.0).squeeze(1).mT.view_as(h)
        return self.linear(torch.tanh(h).mean((2, 3))).squeeze(1)


def linear(slope):
    """D(x) = slope * (sum of x) / sqrt(number of pixels): the norm of its gradient is ``slope`` everywhere."""
    return lambda x, y: slope * x.flatten(1).sum(1) / math.sqrt(x[0].numel())


def bowl(x, y):
    """D(x) = |x|^2 / 2: its gradient is x."""
    return x.flatten(1).square().sum(1) / 2


@pytest.mark.parametrize(
    ("regularizer", "value"),
    [(GradientPenalty, (3 - 1) ** 2), (DRAGAN, (3 - 1) ** 2), (R1, 9 / 2), (R2, 9 / 2), (ZeroCentered, 9)],
)
def test_a_constant_slope(regularizer, value):
    assert regularizer()(update(linear(3.0))).item() == pytest.approx(value, rel=1e-12)


def test_where_each_looks():
    real, fake = images(1), images(2)
    share = torch.rand(3, 1, 1, 1, generator=draws())
    between = share * real + (1 - share) * fake
    torch.testing.assert_close(interpolates(update(bowl)), between)
    squared = between.square().sum((1, 2, 3))
    expected = {
        GradientPenalty: ((squared.sqrt() - 1) ** 2).mean(),
        ZeroCentered: squared.mean(),
        R1: real.square().sum((1, 2, 3)).mean() / 2,
        R2: fake.square().sum((1, 2, 3)).mean() / 2,
    }
    for regularizer, value in expected.items():
        assert regularizer()(update(bowl)).item() == pytest.approx(value.item(), rel=1e-12), regularizer


def test_dragan_looks_around_real_images():
    real, source = images(1), draws()
    noise = torch.rand(real.shape, generator=source)
    share = torch.rand(3, 1, 1, 1, generator=source)
    deviation = (real - real.mean()).square().mean().sqrt()
    points = real + share * 0.5 * deviation * noise
    expected = ((points.flatten(1).norm(dim=1) - 1) ** 2).mean()
    assert DRAGAN()(update(bowl)).item() == pytest.approx(expected.item(), rel=1e-7)  # float32 draws
    still = ((real.flatten(1).norm(dim=1) - 1) ** 2).mean()
    assert DRAGAN(noise=0.0)(update(bowl)).item() == pytest.approx(still.item(), rel=1e-12)


def test_lecam_by_hand():
    lecam = LeCam(decay=0.9).double()
    shift = iter([(1.0, -1.0), (3.0, 0.0)])
    values = []
    for real, fake in shift:
        logits = torch.tensor([real, real + 2.0]), torch.tensor([fake, fake - 1.0])
        step = DiscriminatorUpdate(bowl, images(1), images(2), None, None, *(x.double() for x in logits), draws())
        values.append(lecam(step).item())
    # First: averages 2 and -1.5, since the start at 0 is divided out. relu(D - a_fake) = 2.5, 4.5;
    # relu(a_real - D) = 3, 4.
    assert values[0] == pytest.approx((2.5**2 + 4.5**2) / 2 + (3.0**2 + 4.0**2) / 2, rel=1e-12)
    # Second: batch means 4 and -0.5; averages (0.09 * 2 + 0.1 * 4) / 0.19 and (0.09 * -1.5 - 0.05) / 0.19.
    real, fake = 0.58 / 0.19, -0.185 / 0.19
    expected = ((3 - fake) ** 2 + (5 - fake) ** 2) / 2 + (real**2 + (real + 1) ** 2) / 2
    assert values[1] == pytest.approx(expected, rel=1e-12)


def test_lecam_is_one_sided():
    step = DiscriminatorUpdate(
        bowl, images(1), images(2), None, None, torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0]), draws()
    )
    assert LeCam()(step).item() == 0


def test_lecam_waits_for_its_start():
    lecam = LeCam(start=2).double()
    assert [lecam(update(bowl)).item() > 0 for _ in range(4)] == [False, False, True, True]


def test_lecam_is_a_pull_on_the_logits_alone():
    net, lecam = Attending(), LeCam().double()
    lecam(update(net)).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in net.parameters())
    assert not any(buffer.requires_grad for buffer in lecam.buffers())


def test_lecam_resumes_from_its_state():
    steps = [update(lambda x, y, k=k: bowl(x, y) * (k + 1)) for k in range(4)]
    whole, first, second = (LeCam().double() for _ in range(3))
    values = [whole(step) for step in steps]
    for step in steps[:2]:
        first(step)
    second.load_state_dict(first.state_dict())
    assert [second(step).item() for step in steps[2:]] == [value.item() for value in values[2:]]
    assert set(first.state_dict()) == {"real", "fake", "uses"}


def test_consistency_by_hand():
    real = images(1)
    for regularizer in (Consistency(), Consistency(flip=False), Consistency(shift=0.0)):
        moved = regularizer.augment(real, draws())
        expected = (bowl(real, None) - bowl(moved, None)).square().mean()
        assert regularizer(update(bowl)).item() == pytest.approx(expected.item(), rel=1e-12)
    assert Consistency(flip=False, shift=0.0)(update(bowl)).item() == 0


def test_balanced_consistency_adds_generated_images():
    one, both = Consistency()(update(bowl)), Consistency(balanced=True)(update(bowl))
    source = draws()
    Consistency().augment(images(1), source)
    moved = Consistency().augment(images(2), source)
    other = (bowl(images(2), None) - bowl(moved, None)).square().mean()
    torch.testing.assert_close(both, one + other)


def test_what_consistency_moves():
    real = torch.arange(64.0).view(1, 1, 8, 8).expand(200, 3, 8, 8)
    moved = Consistency(shift=0.0).augment(real, draws())
    flipped = (moved == real.flip(3)).flatten(1).all(1)
    assert (flipped | (moved == real).flatten(1).all(1)).all()
    assert 70 < flipped.sum() < 130
    moved = Consistency(flip=False).augment(real, draws())
    # Pixel i, j has the value 8 i + j: up to 1/8 of 8 pixels either way, on both axes.
    assert set(moved[:, 0, 4, 4].tolist()) == {8 * i + j for i in (3, 4, 5) for j in (3, 4, 5)}
    inner = moved[:, 0, 1:7, 1:7]
    assert (inner[:, 1:] - inner[:, :-1] == 8).all()
    assert (inner[:, :, 1:] - inner[:, :, :-1] == 1).all()


@pytest.mark.parametrize("normalized", [False, True])
@gradients
def test_gradients_for_the_weights_are_those_of_finite_differences(regularizer, normalized):
    torch.manual_seed(0)
    net = Attending()
    if normalized:  # in evaluation mode, where the singular vectors stand still
        for module in (net.conv, net.query, net.linear):
            spectral(module)
        net.eval()
    names, weights = zip(*((n, p.detach().requires_grad_()) for n, p in net.named_parameters()), strict=True)

    def penalty(*values):
        def judge(x, y):
            return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x, y))

        return regularizer()(update(judge, images(1, 2), images(2, 2)))

    assert torch.autograd.gradcheck(penalty, weights)


def test_a_penalty_can_be_differentiated_twice():
    weight = torch.randn(3, dtype=torch.float64, generator=draws()).requires_grad_()
    real, fake = images(1, 2, 2), images(2, 2, 2)

    def penalty(weight):
        return GradientPenalty()(update(lambda x, y: torch.tanh((x.mean((2, 3)) * weight).sum(1)) * 9, real, fake))

    assert torch.autograd.gradgradcheck(penalty, (weight,))


@gradients
def test_the_last_bias_gets_no_gradient_and_all_else_does(regularizer):
    net = Attending()
    regularizer()(update(net)).backward()
    for name, parameter in net.named_parameters():
        if name != "linear.bias":
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
    assert net.linear.bias.grad is None or not net.linear.bias.grad.any()


@gradients
def test_a_flat_discriminator_has_finite_gradients(regularizer):
    net = nn.Linear(192, 1).double()
    nn.init.zeros_(net.weight)
    penalty = regularizer()(update(lambda x, y: net(x.flatten(1)).squeeze(1)))
    penalty.backward()
    assert net.weight.grad.isfinite().all()


@every
def test_chance_comes_from_the_draws_alone(regularizer):
    net, state = Attending(), torch.get_rng_state()
    one, same, other = (regularizer().double() if regularizer is LeCam else regularizer() for _ in range(3))
    values = [r(update(net, seed=seed)).item() for r, seed in ((one, 7), (same, 7), (other, 8))]
    assert values[0] == values[1]
    assert (values[0] == values[2]) == (regularizer in (R1, R2, LeCam))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("regularizer", "which"),
    [(GradientPenalty, "real"), (DRAGAN, "real"), (ZeroCentered, "real"), (R1, "real"), (R2, "fake")],
)
def test_which_labels_the_discriminator_is_given(regularizer, which):
    seen = []

    def judge(x, y):
        seen.append(y)
        return bowl(x, y)

    labels = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])
    step = update(judge, labels=labels)
    seen.clear()
    regularizer()(step)
    assert len(seen) == 1
    assert torch.equal(seen[0], labels[which == "fake"])


def test_input_gradients_are_float32_under_autocast():
    net = Attending().float()
    seen = []
    net.conv.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    real, fake = images(1).float(), images(2).float()
    with torch.autocast("cpu", torch.bfloat16):
        step = update(net, real, fake)
        assert seen == [torch.bfloat16, torch.bfloat16]
        gradient = input_gradients(step, real, None)
    assert seen[2:] == [torch.float32]
    assert gradient.dtype == torch.float32
    (exact,) = torch.autograd.grad(net(x := real.clone().requires_grad_()).sum(), x)
    torch.testing.assert_close(gradient, exact)


@every
def test_flops_can_be_counted(regularizer):
    net = Attending().float()
    with FlopCounterMode(display=False) as counter:
        regularizer()(update(net, images(1).float(), images(2).float())).backward()
    assert counter.get_total_flops() > 0


@pytest.mark.parametrize("regularizer", GRADIENTS)
def test_doubts_about_batch_statistics(regularizer):
    sound = Combination(loss="wasserstein", relativistic=False, batch_statistics=False)
    mixed = Combination(loss="wasserstein", relativistic=False, batch_statistics=True)
    assert regularizer.doubts(sound) == []
    (doubt,) = regularizer.doubts(mixed)
    assert "batch norm" in doubt


def test_doubts_about_losses():
    (doubt,) = GradientPenalty.doubts(Combination("hinge", relativistic=False, batch_statistics=False))
    assert "Wasserstein" in doubt
    (doubt,) = LeCam.doubts(Combination("relativistic-hinge", relativistic=True, batch_statistics=False))
    assert "differences" in doubt
    assert LeCam.doubts(Combination("hinge", relativistic=False, batch_statistics=True)) == []


def test_options():
    assert resolve_options(LeCam, {}, "x") == {"decay": 0.99, "start": 0}
    assert resolve_options(Consistency, {}, "x") == {"flip": True, "shift": 0.125, "balanced": False}
    assert resolve_options(DRAGAN, {}, "x") == {"noise": 0.5}
    for regularizer in (GradientPenalty, R1, R2, ZeroCentered):
        assert resolve_options(regularizer, {}, "x") == {}


@every
def test_published_weights(regularizer):
    assert regularizer.default_weight == (0.3 if regularizer is LeCam else 10.0)
    assert regularizer.default_interval == 1
