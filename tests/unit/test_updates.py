"""The updates of D and G on networks small enough to compute by hand."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from harness import assert_same_tensors
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ganbench.api import DiscriminatorOutput
from ganbench.batches import Batches
from ganbench.classification import Classification
from ganbench.data import ImageSplit
from ganbench.flops import count_step
from ganbench.judge import has_batch_statistics
from ganbench.networks import Networks
from ganbench.objective import Objective
from ganbench.random import generator
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.regularizers import Regularizers
from ganbench.resolve import resolve
from ganbench.spec import RunSpec
from ganbench.train_step import Trainer
from ganbench.zoo.augmentation.none import NoAugmentation
from ganbench.zoo.loss.hinge import Hinge

CPU = torch.device("cpu")
SIDE, LATENT, BATCH = 2, 3, 4
PIXELS = 3 * SIDE * SIDE


class G(nn.Module):
    """One linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT, PIXELS, bias=False)
        self.calls: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        self.calls.append((z.detach(), y))
        return torch.tanh(self.linear(z)).view(-1, 3, SIDE, SIDE)


class D(nn.Module):
    """One linear layer, with batch norm if wanted."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3) if norm else nn.Identity()
        self.linear = nn.Linear(PIXELS, 1, bias=False)
        self.sizes: list[int] = []
        self.trainable: list[bool] = []

    def forward(self, x: Tensor, y: Tensor | None) -> DiscriminatorOutput:
        self.sizes.append(len(x))
        self.trainable.append(self.linear.weight.requires_grad)
        return DiscriminatorOutput(self.linear(self.norm(x).flatten(1)).squeeze(1))


@functools.cache
def recipe(model: str) -> RunSpec:
    return resolve(Registry.discover(), RecipeBook(), model, "quick", [{"seed": 1}]).spec


def spec(model: str = "sagan", **changes: Any) -> RunSpec:
    small = {"batch": BATCH, "latent_dim": LATENT, "conditioning": "none", "ema": None} | changes
    return recipe(model).model_copy(update=small)


def trainer(of: RunSpec, norm: bool = False) -> Trainer:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (10, 3, SIDE, SIDE), dtype=torch.uint8)
    data = ImageSplit(images, torch.arange(10) % 2)
    objective = Objective(Hinge(), NoAugmentation(), Regularizers([], of.seed), Classification(of.classification))
    return Trainer(of, Networks(G(), D(norm)), objective, Batches(data, of.batch, of.seed, CPU), CPU)


def lr(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


@given(start=st.none() | st.floats(0, 0.99), progress=st.floats(0, 1, exclude_max=True))
def test_learning_rates_fall_linearly(start: float | None, progress: float) -> None:
    of = spec()
    made = trainer(of.model_copy(update={"optimizer": of.optimizer.model_copy(update={"decay_from": start})}))
    made.learning_rates(progress)
    factor = 1.0 if start is None or progress <= start else (1 - progress) / (1 - start)
    assert lr(made.optimizer_g) == pytest.approx(of.optimizer.lr_g * factor)
    assert lr(made.optimizer_d) == pytest.approx(of.optimizer.lr_d * factor)


def test_two_learning_rates_and_the_betas_reach_adam() -> None:
    of = spec("sagan")
    made = trainer(of)
    for optimizer, rate in ((made.optimizer_g, of.optimizer.lr_g), (made.optimizer_d, of.optimizer.lr_d)):
        assert isinstance(optimizer, torch.optim.Adam)
        assert lr(optimizer) == rate
        assert optimizer.param_groups[0]["betas"] == (0.0, 0.999)
        assert all(isinstance(beta, float) for beta in optimizer.param_groups[0]["betas"])
    assert of.optimizer.lr_g != of.optimizer.lr_d


def test_one_pass_without_batch_statistics_two_with() -> None:
    for norm, sizes in ((False, [2 * BATCH, BATCH]), (True, [BATCH, BATCH, BATCH])):
        made = trainer(spec(), norm)
        assert has_batch_statistics(made.discriminator) == norm
        made.step(0, 0.0)
        assert made.discriminator.sizes == sizes


def test_one_pass_and_two_are_the_same_update() -> None:
    one, two = trainer(spec()), trainer(spec())
    two.judge.joint = False
    for step in range(3):
        for loss, other in zip(one.step(step, 0.0), two.step(step, 0.0), strict=True):
            assert loss.item() == pytest.approx(other.item(), rel=1e-6)
    torch.testing.assert_close(one.discriminator.linear.weight, two.discriminator.linear.weight)
    assert one.discriminator.sizes[0] == 2 * two.discriminator.sizes[0]


def test_the_losses_are_those_of_the_images() -> None:
    made = trainer(spec())
    before = copy.deepcopy((made.generator, made.discriminator))
    real = made.batches(0)[0]
    loss_d, _ = made.discriminator_step(0, keep_fakes=False)
    g, d = before
    z = torch.randn(BATCH, LATENT, generator=generator(1, "z-d", 0))
    on_real, on_fake = d(real, None).logits, d(g(z, None), None).logits
    expected = torch.relu(1 - on_real).mean() + torch.relu(1 + on_fake).mean()
    assert loss_d.item() == pytest.approx(expected.item(), rel=1e-6)
    z = torch.randn(BATCH, LATENT, generator=generator(1, "z-g", 0))
    expected_g = -made.discriminator(g(z, None), None).logits.mean()
    assert made.generator_step(0, None).item() == pytest.approx(expected_g.item(), rel=1e-6)


@pytest.mark.parametrize("n_dis", [1, 3])
@pytest.mark.parametrize("factor", [1, 2])
def test_each_network_is_updated_alone_and_as_often_as_asked(n_dis: int, factor: int) -> None:
    made = trainer(spec(n_dis=n_dis, batch_g_factor=factor))
    made.step(5, 0.0)
    assert [len(z) for z, _ in made.generator.calls] == [BATCH] * n_dis + [BATCH * factor]
    assert made.discriminator.trainable == [True] * n_dis + [False]
    assert made.discriminator.linear.weight.requires_grad
    draws = [torch.randn(BATCH, LATENT, generator=generator(1, "z-d", 5 * n_dis + k)) for k in range(n_dis)]
    for (z, _), expected in zip(made.generator.calls, draws, strict=False):
        assert torch.equal(z, expected)


def test_reused_fakes_serve_both_updates() -> None:
    made = trainer(spec("dcgan", n_dis=2), norm=True)
    before = made.generator.linear.weight.detach().clone()
    made.step(0, 0.0)
    assert len(made.generator.calls) == 2
    assert not torch.equal(made.generator.linear.weight, before)


def test_discriminator_steps_leave_the_generator_alone() -> None:
    made = trainer(spec("dcgan"), norm=True)
    before = copy.deepcopy(made.generator.state_dict())
    _, (fakes, _) = made.discriminator_step(0, keep_fakes=True)
    assert_same_tensors(made.generator.state_dict(), before)
    assert made.generator.linear.weight.grad is None
    assert fakes.requires_grad


def test_labels_are_drawn_for_conditional_networks() -> None:
    made = trainer(spec(conditioning="projection", num_classes=2))
    made.step(0, 0.0)
    labels = torch.cat([y for _, y in made.generator.calls if y is not None])
    assert labels.shape == (2 * BATCH,)
    assert set(labels.tolist()) <= {0, 1}


def test_a_step_is_a_pure_function_of_the_state_and_its_number() -> None:
    one = trainer(spec())
    one.step(0, 0.0)
    state = copy.deepcopy(one.state())
    one.step(1, 0.0)
    two = trainer(spec())
    two.load(state)  # type: ignore[arg-type]
    torch.manual_seed(123)
    two.step(1, 0.0)
    assert_same_tensors(two.state(), one.state())


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_noticed(spoil: float) -> None:
    made = trainer(spec())
    assert made.finite()
    with torch.no_grad():
        made.discriminator.linear.weight[0, 3] = spoil
    assert not made.finite()


def multiply_adds(n_dis: int, factor: int, reuse: bool) -> int:
    """By hand: linear layers only, forward and backward, as the updates need them."""
    g, d = LATENT * PIXELS, PIXELS
    forward_g, weights_g = BATCH * g, BATCH * g  # z takes no gradient
    forward_d, weights_d, inputs_d = BATCH * d, BATCH * d, BATCH * d
    update_d = forward_g + 2 * (forward_d + weights_d)
    update_g = factor * (forward_g + weights_g + forward_d + inputs_d)
    return n_dis * update_d + update_g - (forward_g if reuse else 0)


@pytest.mark.parametrize(("n_dis", "factor", "reuse"), [(1, 1, False), (5, 2, False), (1, 1, True), (3, 1, True)])
def test_flops_are_counted_as_by_hand(n_dis: int, factor: int, reuse: bool) -> None:
    made = trainer(spec(n_dis=n_dis, batch_g_factor=factor, reuse_fakes=reuse))
    assert count_step(made) == 2 * multiply_adds(n_dis, factor, reuse)


@pytest.mark.parametrize("model", ["sagan", "dcgan"])
def test_counting_moves_nothing(model: str) -> None:
    made = trainer(spec(model), norm=True)
    made.step(0, 0.0)
    before, draws = copy.deepcopy(made.state()), torch.get_rng_state()
    gradients = [p.grad for p in made.discriminator.parameters()]
    count_step(made)
    assert_same_tensors(made.state(), before)
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(
        now is then for now, then in zip((p.grad for p in made.discriminator.parameters()), gradients, strict=True)
    )


def test_the_products_of_spectral_norm_are_counted() -> None:
    from ganbench.zoo.normalizer.spectral import spectral

    plain = count_step(trainer(spec()))
    made = trainer(spec())
    spectral(made.discriminator.linear)
    extra = count_step(made) - plain
    assert extra >= 2 * 2 * PIXELS * 2  # u and v, in two passes
