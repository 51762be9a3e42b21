"""The updates of D and G on stub networks: what is shown to whom, what is added to what, what is kept."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from harness import assert_same_tensors
from torch import nn

from ganbench.api import DiscriminatorOutput
from ganbench.batches import Batches
from ganbench.classification import Classification
from ganbench.data import ImageSplit
from ganbench.flops import count_step
from ganbench.judge import Judge
from ganbench.networks import Networks
from ganbench.objective import Objective
from ganbench.regularizers import Regularizers, Scheduled
from ganbench.spec import ClassificationSpec, EMASpec, OptimizerSpec
from ganbench.train_step import Trainer
from ganbench.zoo.augmentation.diffaugment import DiffAugment
from ganbench.zoo.augmentation.none import NoAugmentation
from ganbench.zoo.loss.hinge import Hinge
from ganbench.zoo.loss.relativistic_paired import RelativisticPaired
from ganbench.zoo.regularizer.consistency import Consistency
from ganbench.zoo.regularizer.gradient_penalty import GradientPenalty
from ganbench.zoo.regularizer.lecam import LeCam
from ganbench.zoo.regularizer.r1 import R1

CPU = torch.device("cpu")
SIDE, LATENT, CLASSES = 8, 4, 3


class StubGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(LATENT, 3 * SIDE * SIDE)

    def forward(self, z, y):
        return torch.tanh(self.linear(z)).view(-1, 3, SIDE, SIDE)


class Told(nn.Module):
    """Notes at every pass whether it was said to be over generated images alone."""

    def __init__(self):
        super().__init__()
        self.fake_pass = False
        self.heard = []

    def forward(self, x):
        self.heard.append((self.fake_pass, len(x)))
        return x


class StubDiscriminator(nn.Module):
    def __init__(self, batch_norm=False, classes=0):
        super().__init__()
        self.told = Told()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4) if batch_norm else nn.Identity()
        self.linear = nn.Linear(4, 1)
        self.classifier = nn.Linear(4, classes) if classes else None

    def forward(self, x, y):
        h = torch.tanh(self.norm(self.conv(self.told(x)))).mean((2, 3))
        return DiscriminatorOutput(self.linear(h).squeeze(1), self.classifier(h) if self.classifier else None)


def make_spec(**overrides):
    fixed = {
        "seed": 0,
        "optimizer": OptimizerSpec(lr_g=1e-2, lr_d=1e-2, beta1=0.0, beta2=0.9),
        "batch": 4,
        "n_dis": 1,
        "batch_g_factor": 1,
        "latent_dim": LATENT,
        "network_classes": 0,
        "fake_labels": "uniform",
        "reuse_fakes": False,
        "ema": None,
        "precision": "fp32",
        **overrides,
    }
    return SimpleNamespace(**fixed, batch_g=fixed["batch"] * fixed["batch_g_factor"])


def make_trainer(
    *,
    batch_norm=False,
    classes=0,
    loss=None,
    augment=None,
    regularizers=(),
    weights=None,
    labels=None,
    room=None,
    **overrides,
):
    spec = make_spec(network_classes=classes, **overrides)
    torch.manual_seed(0)
    networks = Networks(StubGenerator(), StubDiscriminator(batch_norm, classes))
    images = torch.randint(0, 256, (20, 3, SIDE, SIDE), dtype=torch.uint8)
    labels = torch.randint(0, max(classes, 1), (20,)) if labels is None else labels
    objective = Objective(
        loss or Hinge(),
        augment or NoAugmentation(),
        Regularizers([Scheduled(*part) for part in regularizers], spec.seed),
        Classification(weights or ClassificationSpec()),
    )
    batches = Batches(ImageSplit(images, labels), spec.batch, 0, CPU, room=room)
    return Trainer(spec, networks, objective, batches, CPU)


EVERYTHING = {
    "augment": DiffAugment(),
    "ema": EMASpec(decay=0.9),
    "loss": RelativisticPaired(),
    "n_dis": 2,
    "batch_g_factor": 2,
    "classes": CLASSES,
}


def every_regularizer():
    return [("consistency", Consistency(), 1.0, 1), ("lecam", LeCam(), 0.3, 1), ("r1", R1(), 1.0, 3)]


def run(trainer, steps):
    return [trainer.step(step, step / 10) for step in steps]


@pytest.mark.parametrize("classes", [0, CLASSES])
def test_one_pass_over_both_kinds_is_two_passes(classes):
    torch.manual_seed(0)
    judge = Judge(StubDiscriminator(classes=classes))
    real, fake = torch.randn(4, 3, SIDE, SIDE), torch.randn(5, 3, SIDE, SIDE)
    y_real, y_fake = (torch.randint(CLASSES, (n,)) if classes else None for n in (4, 5))
    assert judge.joint
    joint = judge.both(real, fake, y_real, y_fake)
    judge.joint = False
    apart = judge.both(real, fake, y_real, y_fake)
    for one, other in zip(joint, apart, strict=True):
        torch.testing.assert_close(one.logits, other.logits)
        assert (one.class_logits is None) == (classes == 0)
        if classes:
            torch.testing.assert_close(one.class_logits, other.class_logits)


def test_batch_statistics_are_of_one_kind():
    judge = Judge(StubDiscriminator(batch_norm=True))
    assert not judge.joint
    real, fake = torch.randn(4, 3, SIDE, SIDE), torch.randn(4, 3, SIDE, SIDE) + 3
    on_real, on_fake = judge.both(real, fake, None, None)
    torch.testing.assert_close(on_real.logits, judge.logits(real, None))
    torch.testing.assert_close(on_fake.logits, judge.logits(fake, None))


@pytest.mark.parametrize("loss", [Hinge(), RelativisticPaired()])
def test_the_generators_update_leaves_the_discriminator_alone(loss):
    trainer = make_trainer(loss=loss)
    trainer.discriminator_step(0, False)
    trainer.optimizer_d.zero_grad(set_to_none=True)
    before = copy.deepcopy((trainer.discriminator.state_dict(), trainer.generator.state_dict()))
    trainer.generator_step(0, None)
    assert_same_tensors(trainer.discriminator.state_dict(), before[0])
    assert all(p.grad is None and p.requires_grad for p in trainer.discriminator.parameters())
    assert not torch.equal(trainer.generator.linear.weight, before[1]["linear.weight"])


def test_the_discriminators_update_leaves_the_generator_alone():
    trainer = make_trainer(regularizers=every_regularizer())
    before = copy.deepcopy(trainer.generator.state_dict())
    trainer.discriminator_step(0, False)
    assert_same_tensors(trainer.generator.state_dict(), before)
    assert all(p.grad is None for p in trainer.generator.parameters())


class NotingLoss:
    """Notes what it is given."""

    needs_real = True

    def __init__(self):
        self.given = []

    def discriminator(self, real, fake):
        return fake.mean() - real.mean()

    def generator(self, fake, real):
        self.given.append((fake, real))
        return (real - fake).mean()


@pytest.mark.parametrize(("n_dis", "factor"), [(1, 1), (3, 2)])
def test_a_relativistic_generator_sees_the_logits_of_the_last_real_batch(n_dis, factor):
    trainer = make_trainer(loss=NotingLoss(), n_dis=n_dis, batch_g_factor=factor)
    run(trainer, range(2))
    real, _ = trainer.batches(2 * n_dis - 1)
    with torch.no_grad():
        expected = trainer.judge.logits(real, None).repeat(factor)
    (fake, seen) = trainer.objective.loss.given[-1]
    torch.testing.assert_close(seen, expected)
    assert fake.shape == seen.shape == (4 * factor,)
    assert not seen.requires_grad
    assert fake.requires_grad


@pytest.mark.parametrize(
    ("loss", "batch_norm", "heard"),
    [
        (Hinge(), False, [(False, 8), (True, 4)]),
        (Hinge(), True, [(False, 4), (True, 4), (True, 4)]),
        (RelativisticPaired(), False, [(False, 8), (True, 4), (True, 4)]),
    ],
)
def test_modules_are_told_of_passes_over_generated_images(loss, batch_norm, heard):
    trainer = make_trainer(loss=loss, batch_norm=batch_norm)
    run(trainer, range(2))
    assert trainer.discriminator.told.heard == heard * 2
    assert trainer.discriminator.told.fake_pass is False


def test_regularizers_are_told_that_their_pass_is_no_fake_pass():
    trainer = make_trainer(regularizers=[("gp", GradientPenalty(), 1.0, 1)])
    trainer.discriminator_step(0, False)
    assert trainer.discriminator.told.heard == [(False, 8), (False, 4)]


class Constant:
    """A penalty of 1 that counts its uses and keeps its last update."""

    def __init__(self):
        self.updates = []

    def __call__(self, update):
        self.updates.append(update)
        return torch.ones(()) + 0 * update.real_logits.sum()


def test_the_interval_multiplies_the_weight():
    rare, steady = Constant(), Constant()
    trainer = make_trainer(regularizers=[("rare", rare, 2.0, 3), ("steady", steady, 0.5, 1)])
    bare = make_trainer()
    added = [(trainer.discriminator_step(t, False)[0] - bare.discriminator_step(t, False)[0]).item() for t in range(7)]
    assert added == pytest.approx([6.5, 0.5, 0.5, 6.5, 0.5, 0.5, 6.5], abs=1e-5)
    assert (len(rare.updates), len(steady.updates)) == (3, 7)


def test_intervals_count_the_discriminators_updates():
    constant = Constant()
    run(make_trainer(n_dis=3, regularizers=[("a", constant, 1.0, 2)]), range(2))
    assert len(constant.updates) == 3  # updates 0, 2 and 4 of 6


def test_each_regularizer_has_its_own_draws():
    seen = []
    for names in (("a",), ("b", "a")):
        parts = [(name, Constant(), 1.0, 1) for name in names]
        make_trainer(regularizers=parts).discriminator_step(5, False)
        seen += [torch.rand(3, generator=part[1].updates[0].draws) for part in parts]
    alone, other, beside = seen
    assert torch.equal(alone, beside)
    assert not torch.equal(alone, other)


def test_what_a_regularizer_sees():
    constant = Constant()
    trainer = make_trainer(classes=CLASSES, augment=DiffAugment(), regularizers=[("a", constant, 1.0, 1)])
    shown = []
    trainer.discriminator.told.register_forward_hook(lambda module, given, output: shown.append(output))
    before = copy.deepcopy(trainer.discriminator)
    trainer.discriminator_step(2, False)
    (update,) = constant.updates
    assert torch.equal(torch.cat([update.real, update.fake]), shown[0])
    assert not update.fake.requires_grad
    assert torch.equal(update.real_labels, trainer.batches(2)[1])
    torch.testing.assert_close(update.real_logits, before(update.real, None).logits)
    torch.testing.assert_close(update.fake_logits, before(update.fake, None).logits)
    assert update.real_logits.requires_grad


class NotingAugmentation:
    """Doubles the images and notes the first draw of each call."""

    def __init__(self):
        self.calls = []

    def __call__(self, images, draws):
        self.calls.append((len(images), torch.rand(1, generator=draws).item()))
        return images * 2


@pytest.mark.parametrize(("loss", "calls"), [(Hinge(), [4, 4, 8]), (RelativisticPaired(), [4, 4, 8, 4])])
def test_all_that_the_discriminator_is_shown_is_augmented(loss, calls):
    trainers = [make_trainer(loss=loss, augment=NotingAugmentation(), batch_g_factor=2) for _ in range(2)]
    shown = []
    trainers[0].discriminator.told.register_forward_hook(lambda module, given, output: shown.append(output))
    for trainer in trainers:
        run(trainer, range(2))
    noted = trainers[0].objective.augment.calls
    assert [size for size, _ in noted] == calls * 2
    assert len({draw for _, draw in noted}) == len(noted)
    assert noted == trainers[1].objective.augment.calls
    torch.testing.assert_close(shown[0][:4], trainers[0].batches(0)[0] * 2)


def test_augmentation_lets_the_gradient_reach_the_generator():
    trainer = make_trainer(augment=DiffAugment())
    before = trainer.generator.linear.weight.detach().clone()
    trainer.generator_step(0, None)
    assert not torch.equal(trainer.generator.linear.weight, before)


def test_the_class_term_by_hand():
    weights = ClassificationSpec(real=2.0, fake=0.5, generator=0.25)
    trainer = make_trainer(classes=CLASSES, weights=weights)
    bare = make_trainer(classes=CLASSES, weights=ClassificationSpec(real=0.0, fake=0.0, generator=0.0))
    real, y_real = trainer.batches(0)
    z, y_fake = trainer._draw("z-d", 0, 4)
    with torch.no_grad():
        on_real, on_fake = (trainer.discriminator(x, None).class_logits for x in (real, trainer.generator(z, y_fake)))
    by_hand = [
        -torch.stack([row[label] - row.logsumexp(0) for row, label in zip(logits, y, strict=True)]).mean()
        for logits, y in ((on_real, y_real), (on_fake, y_fake))
    ]
    added = trainer.discriminator_step(0, False)[0] - bare.discriminator_step(0, False)[0]
    torch.testing.assert_close(added, 2 * by_hand[0] + 0.5 * by_hand[1])

    trainer = make_trainer(classes=CLASSES, weights=weights)
    z, y = trainer._draw("z-g", 0, 4)
    with torch.no_grad():
        expected = F.cross_entropy(trainer.discriminator(trainer.generator(z, y), None).class_logits, y)
    bare = make_trainer(classes=CLASSES, weights=ClassificationSpec(generator=0.0))
    added = trainer.generator_step(0, None) - bare.generator_step(0, None)
    torch.testing.assert_close(added, 0.25 * expected)


@pytest.mark.parametrize(("fake_labels", "shares"), [("uniform", [1 / 3] * 3), ("empirical", [0.1, 0.0, 0.9])])
def test_labels_of_generated_images_are_drawn_as_the_spec_says(fake_labels, shares):
    trainer = make_trainer(classes=CLASSES, fake_labels=fake_labels, labels=torch.tensor([0, 0, *[2] * 18]))
    z, labels = trainer._draw("z-d", 0, 5000)
    found = labels.bincount(minlength=CLASSES) / 5000
    torch.testing.assert_close(found, torch.tensor(shares), atol=0.025, rtol=0)
    assert labels.dtype == torch.int64
    assert torch.equal(z, make_trainer()._draw("z-d", 0, 5000)[0])
    assert len({tuple(trainer._draw("z-d", step, 50)[1].tolist()) for step in range(20)}) == 20
    assert make_trainer(fake_labels=fake_labels)._draw("z-d", 0, 4)[1] is None


def test_steps_and_flops_are_the_same_on_batches_from_a_thread():
    trainers = [make_trainer(regularizers=every_regularizer(), room=room, **EVERYTHING) for room in (None, 0)]
    assert len({count_step(trainer) for trainer in trainers}) == 1
    assert_same_tensors(*(run(trainer, [*range(4), *range(2, 5)]) for trainer in trainers))
    assert_same_tensors(*(trainer.state() for trainer in trainers))
    trainers[1].batches.close()


def test_without_class_logits_there_is_no_class_term():
    output = DiscriminatorOutput(torch.zeros(4))
    assert Classification(ClassificationSpec()).generator(output, torch.zeros(4, dtype=torch.int64)) == 0


def test_class_logits_without_labels_are_an_error():
    output = DiscriminatorOutput(torch.zeros(4), torch.zeros(4, CLASSES))
    with pytest.raises(ValueError, match="labels"):
        Classification(ClassificationSpec()).generator(output, None)


def test_learning_rates_fall_linearly_to_nothing():
    chosen = OptimizerSpec(lr_g=1e-3, lr_d=4e-3, beta1=0.0, beta2=0.9, decay_from=0.6)
    trainer = make_trainer(optimizer=chosen)
    for progress, share in ((0, 1), (0.3, 1), (0.6, 1), (0.7, 0.75), (0.8, 0.5), (0.9, 0.25), (1.0, 0)):
        trainer.learning_rates(progress)
        rates = [o.param_groups[0]["lr"] for o in (trainer.optimizer_g, trainer.optimizer_d)]
        assert rates == pytest.approx([1e-3 * share, 4e-3 * share], abs=1e-12)
    constant = make_trainer()
    constant.learning_rates(1.0)
    assert constant.optimizer_g.param_groups[0]["lr"] == 1e-2


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_by_hand(decay):
    chosen = OptimizerSpec(lr_g=1e-2, lr_d=1e-2, beta1=0.5, beta2=0.9, eps=1e-3, weight_decay=decay)
    trainer = make_trainer(optimizer=chosen)
    weight = trainer.discriminator.conv.weight
    before = weight.detach().clone()
    trainer.discriminator_step(0, False)
    # The first step: both averages are freed of their start at 0. The decay is part of the gradient.
    gradient = weight.grad + decay * before
    torch.testing.assert_close(weight.detach(), before - 1e-2 * gradient / (gradient.abs() + 1e-3))


def test_n_dis_updates_of_d_for_one_of_g():
    trainer = make_trainer(n_dis=3)
    calls = []
    for name in ("discriminator_step", "generator_step"):
        original = getattr(trainer, name)

        def noting(step, rest, name=name, original=original):
            calls.append((name[0], step))
            return original(step, rest)

        setattr(trainer, name, noting)
    run(trainer, range(2))
    assert calls == [("d", 0), ("d", 1), ("d", 2), ("g", 0), ("d", 3), ("d", 4), ("d", 5), ("g", 1)]


def test_the_moving_average_starts_after_its_start():
    trainer = make_trainer(ema=EMASpec(decay=0.9, start=2))
    weights = []
    for step in range(5):
        run(trainer, [step])
        weights.append(trainer.generator.linear.weight.detach().clone())
        average = trainer.sampler.linear.weight
        if step < 2:
            assert torch.equal(average, weights[-1])
    expected = 0.9**3 * weights[1] + 0.1 * (0.81 * weights[2] + 0.9 * weights[3] + weights[4])
    torch.testing.assert_close(average, expected)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_resume_is_exact(batch_norm):
    def make():
        return make_trainer(batch_norm=batch_norm, regularizers=every_regularizer(), **EVERYTHING)

    whole, first, second = make(), make(), make()
    losses = run(whole, range(7))
    run(first, range(3))
    second.load(copy.deepcopy(first.state()))
    assert_same_tensors(run(second, range(3, 7)), losses[3:])
    assert_same_tensors(second.state(), whole.state())
    lecam = {k: v for k, v in whole.state()["regularizers"].items() if k.endswith("uses")}
    assert [int(v) for v in lecam.values()] == [14]


def test_steps_leave_the_global_generator_alone():
    trainer = make_trainer(regularizers=every_regularizer(), **EVERYTHING)
    state = torch.get_rng_state()
    run(trainer, range(2))
    assert torch.equal(torch.get_rng_state(), state)


def test_flops_are_the_mean_over_the_intervals():
    def flops(*regularizers, **overrides):
        return count_step(make_trainer(regularizers=regularizers, **overrides))

    bare = flops()
    penalty = flops(("r1", R1(), 1.0, 1)) - bare
    lecam = flops(("lecam", LeCam(), 1.0, 1)) - bare
    assert penalty > 0
    assert lecam == 0
    assert flops(("r1", R1(), 1.0, 16)) == bare + round(penalty / 16)
    assert flops(("r1", R1(), 1.0, 4), ("gp", GradientPenalty(), 1.0, 2)) == bare + round(penalty / 4) + round(
        (flops(("gp", GradientPenalty(), 1.0, 1)) - bare) / 2
    )
    thrice = flops(n_dis=3)
    assert flops(("r1", R1(), 1.0, 16), n_dis=3) == thrice + round(3 * penalty / 16)


def test_counting_flops_moves_nothing():
    trainer = make_trainer(batch_norm=True, regularizers=every_regularizer(), **EVERYTHING)
    before = copy.deepcopy(trainer.state())
    parts = list(trainer.objective.regularizers.parts)
    assert count_step(trainer) > 0
    assert_same_tensors(trainer.state(), before)
    assert trainer.objective.regularizers.parts == parts
    assert trainer.discriminator.told.heard == []


@pytest.mark.parametrize("loss", [Hinge(), RelativisticPaired()])
def test_half_precision_steps_are_finite(loss):
    trainer = make_trainer(loss=loss, precision="bf16", augment=DiffAugment(), regularizers=every_regularizer())
    for losses in run(trainer, range(3)):
        assert all(value.dtype == torch.float32 and math.isfinite(value.item()) for value in losses)
    assert trainer.finite()
