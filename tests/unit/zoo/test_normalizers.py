"""The normalizers, spectral norm against torch's own and against singular values."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from ganbench.api import Condition, FreezesOnFakes, UsageError
from ganbench.options import resolve_options
from ganbench.zoo.normalizer.batch import Batch
from ganbench.zoo.normalizer.conditional_batch import ConditionalBatch
from ganbench.zoo.normalizer.none import no_normalizer
from ganbench.zoo.normalizer.spectral import SpectralNorm, spectral

NOTHING = Condition(None, None)
KINDS = {
    "conv": lambda: nn.Conv2d(5, 7, 3),
    "conv 1x1": lambda: nn.Conv2d(8, 4, 1, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(5, 7, 4),
    "linear": lambda: nn.Linear(6, 9),
    "embedding": lambda: nn.Embedding(10, 4),
}
FORMATS = [torch.contiguous_format, torch.channels_last]
every_kind = pytest.mark.parametrize("kind", KINDS)


def norm_of(module) -> SpectralNorm:
    return module.parametrizations.weight[0]


def original(module):
    return module.parametrizations.weight.original


def as_matrix(module, weight):
    return (weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else weight).flatten(1)


@every_kind
def test_after_wrapping_the_largest_singular_value_is_one(kind):
    module = spectral(KINDS[kind]()).eval()
    largest = torch.linalg.matrix_norm(as_matrix(module, module.weight), 2).item()
    assert largest == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("iterations", [1, 3])
@every_kind
def test_spectral_agrees_with_torch_given_the_same_vectors(kind, iterations, memory_format):
    plain = KINDS[kind]().double()
    ours = spectral(copy.deepcopy(plain), iterations=iterations)
    theirs = parametrizations.spectral_norm(copy.deepcopy(plain), n_power_iterations=iterations)
    if plain.weight.dim() == 4:  # after wrapping: v must not depend on the memory format
        ours = ours.to(memory_format=memory_format)
    reference = theirs.parametrizations.weight[0]
    norm_of(ours).u.copy_(reference._u)
    norm_of(ours).v.copy_(reference._v)
    assert norm_of(ours).u.shape == reference._u.shape

    for training in (False, True, True, False):
        ours.train(training)
        theirs.train(training)
        a, b = ours.weight, theirs.weight
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(norm_of(ours).u, reference._u, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(norm_of(ours).v, reference._v, rtol=1e-12, atol=1e-12)
        pull = torch.randn_like(b)
        (da,) = torch.autograd.grad((a * pull).sum(), original(ours))
        (db,) = torch.autograd.grad((b * pull).sum(), original(theirs))
        torch.testing.assert_close(da, db, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "outputs", "rest"),
    [("conv", 7, 45), ("transposed", 7, 80), ("linear", 9, 6), ("embedding", 10, 4)],
)
def test_singular_vectors_are_unit_buffers_of_the_published_shape(kind, outputs, rest):
    module = spectral(KINDS[kind]())
    state = module.state_dict()
    u, v = state["parametrizations.weight.0.u"], state["parametrizations.weight.0.v"]
    assert (u.shape, v.shape) == ((outputs,), (rest,))
    for _ in range(3):
        assert module.weight.isfinite().all()
    assert norm_of(module).u.norm().item() == pytest.approx(1, abs=1e-5)
    assert norm_of(module).v.norm().item() == pytest.approx(1, abs=1e-5)


@every_kind
def test_vectors_move_on_each_training_use_and_never_in_evaluation(kind):
    module = spectral(KINDS[kind]())
    nn.init.normal_(original(module))  # far from what was iterated at wrapping
    start = norm_of(module).u.clone()
    module.eval()
    first = module.weight
    assert torch.equal(first, module.weight)
    assert torch.equal(norm_of(module).u, start)
    module.train()
    assert module.weight.shape == first.shape
    moved = norm_of(module).u.clone()
    assert not torch.equal(moved, start)
    assert module.weight.shape == first.shape
    assert not torch.equal(norm_of(module).u, moved)


@pytest.mark.parametrize("advance", ["always", "real-only"])
def test_on_a_pass_over_generated_images_the_vectors_stand_still_only_if_asked(advance):
    module = spectral(nn.Linear(6, 4), advance=advance)
    norm = norm_of(module)
    nn.init.normal_(original(module))
    assert isinstance(norm, FreezesOnFakes)
    start = norm.u.clone()
    norm.fake_pass = True
    held = module.weight
    assert torch.equal(norm.u, start) == (advance == "real-only")
    if advance == "real-only":
        torch.testing.assert_close(held, original(module) / (norm.u @ original(module) @ norm.v))
        held.sum().backward()  # G's gradient passes all the same
        assert original(module).grad.any()
    norm.fake_pass = False
    before = norm.u.clone()
    assert module.weight.shape == (4, 6)
    assert not torch.equal(norm.u, before)


def test_the_mark_of_a_pass_is_no_part_of_the_state():
    module = spectral(nn.Linear(6, 4), advance="real-only")
    assert set(module.state_dict()) == {"bias", *(f"parametrizations.weight.{k}" for k in ("original", "0.u", "0.v"))}


def test_two_uses_before_one_backward_pass():
    module = spectral(nn.Linear(6, 4)).double()
    x = torch.randn(3, 6).double()
    total = module(x).sum() + module(x).square().sum()
    module.eval()
    total = total + module(x).sum()
    module.train()
    module(x)
    total.backward()
    assert original(module).grad.isfinite().all()


def test_the_gradient_stops_at_the_singular_vectors():
    module = spectral(nn.Linear(5, 4, bias=False)).double()
    module(torch.eye(5).double()).cos().sum().backward()
    norm, weight = norm_of(module), original(module).detach().requires_grad_()
    sigma = norm.u.detach() @ weight @ norm.v.detach()
    (expected,) = torch.autograd.grad((weight / sigma).cos().sum(), weight)
    torch.testing.assert_close(original(module).grad, expected, rtol=1e-10, atol=1e-12)


def test_sigma_is_not_narrowed_by_autocast():
    module = spectral(nn.Linear(64, 48)).eval()
    exact = module.weight
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module.weight, exact)


def test_sigma_of_a_narrow_weight_is_float32():
    module = spectral(nn.Linear(64, 48).to(torch.bfloat16)).eval()
    norm, weight = norm_of(module), original(module).float()
    assert norm.u.dtype == norm.v.dtype == torch.float32
    assert torch.equal(module.weight, (weight / (norm.u @ (weight @ norm.v))).to(torch.bfloat16))


@pytest.mark.parametrize("memory_format", FORMATS)
def test_the_weight_keeps_its_memory_format(memory_format):
    module = spectral(nn.Conv2d(6, 4, 3)).to(memory_format=memory_format)
    assert module.weight.stride() == original(module).stride()
    module.weight.sum().backward()
    assert original(module).grad.stride() == original(module).stride()


def test_state_survives_a_change_of_memory_format():
    module = spectral(nn.Conv2d(6, 4, 3)).eval()
    other = spectral(nn.Conv2d(6, 4, 3)).eval().to(memory_format=torch.channels_last)
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other.weight, module.weight, rtol=1e-6, atol=1e-7)


def test_gradient_penalties_reach_the_weights():
    module = spectral(nn.Linear(5, 1)).double()
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(module(x).sigmoid().sum(), x, create_graph=True)
    slope.norm().backward()
    assert original(module).grad.any()


def test_the_vectors_start_from_torchs_generator():
    weight = torch.randn(4, 6)
    vectors = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        vectors.append(SpectralNorm(weight, 0, iterations=1, eps=1e-12).u)
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])


def test_a_weight_of_zeros_is_refused_with_the_mend():
    linear = nn.Linear(3, 2)
    nn.init.zeros_(linear.weight)
    with pytest.raises(UsageError, match="no spectral norm: initialise it otherwise"):
        spectral(linear)


def test_layers_initialise_before_they_wrap(layers):
    conv = layers("spectral").conv(8, 8, 3, init=lambda w: nn.init.constant_(w, 0.5))
    assert torch.equal(original(conv), torch.full((8, 8, 3, 3), 0.5))
    embedding = layers("spectral").embedding(10, 4)
    assert norm_of(embedding).u.shape == (10,)


def test_batch_is_torchs_batch_norm(layers):
    norm = Batch(4, layers(), momentum=0.25, eps=0.5)
    x = 3 * torch.randn(6, 4, 5, 5) + 1
    out = norm(x, NOTHING)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    expected = (x - mean[:, None, None]) / (variance[:, None, None] + 0.5).sqrt()
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.norm.running_mean, 0.25 * mean)


def test_batch_weights_start_at_one_or_around_it(layers):
    assert torch.equal(Batch(64, layers()).norm.weight, torch.ones(64))
    spread = Batch(4096, layers(), init_std=0.02).norm
    assert spread.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert spread.weight.mean().item() == pytest.approx(1, abs=0.002)
    assert not spread.bias.any()


def test_conditional_batch_by_hand(layers):
    norm = ConditionalBatch(2, layers(num_classes=3), eps=1e-5).double()
    assert torch.equal(norm.scale.weight, torch.ones(3, 2, dtype=torch.float64))
    assert not norm.shift.weight.any()
    assert sum(p.numel() for p in norm.parameters()) == 2 * 3 * 2
    with torch.no_grad():
        norm.scale.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
        norm.shift.weight.copy_(torch.tensor([[0.5, -0.5], [1.0, -1.0], [0.0, 0.0]]))
    # Channel 0 holds 1 and 3 (mean 2, variance 1), channel 1 holds 0 and 4 (mean 2, variance 4).
    x = torch.tensor([[[[1.0]], [[4.0]]], [[[3.0]], [[0.0]]]], dtype=torch.float64)
    out = norm(x, Condition(torch.tensor([1, 0]), None)).flatten(1)
    one, two = (1 + 1e-5) ** -0.5, 2 * (4 + 1e-5) ** -0.5
    expected = torch.tensor([[3 * -one + 1, 4 * two - 1], [one + 0.5, 2 * -two - 0.5]], dtype=torch.float64)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


def test_conditional_batch_without_labels_says_what_to_do(layers):
    with pytest.raises(UsageError, match="--norm-g batch or a conditional recipe"):
        ConditionalBatch(4, layers(num_classes=0))
    with pytest.raises(ValueError, match="without labels"):
        ConditionalBatch(4, layers(num_classes=2))(torch.randn(2, 4, 3, 3), NOTHING)


def test_conditional_batch_has_a_form_without_classes(layers):
    norm = layers(norm="conditional-batch", num_classes=3).norm(4, per_class=False)
    x = torch.randn(5, 4, 3, 3)
    torch.testing.assert_close(norm(x, NOTHING), Batch(4, layers())(x, NOTHING))
    assert sum(p.numel() for p in norm.parameters()) == 8


def test_conditional_batch_keeps_a_narrow_activation_narrow(layers):
    norm = ConditionalBatch(4, layers(num_classes=2))
    x = torch.randn(2, 4, 3, 3, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = norm(x, Condition(torch.tensor([0, 1]), None))
    assert out.dtype == torch.bfloat16


def test_none_does_nothing_in_both_roles(layers):
    conv = nn.Conv2d(2, 2, 1)
    assert no_normalizer(conv) is conv
    assert not hasattr(conv, "parametrizations")
    x = torch.randn(1, 2, 2, 2)
    assert no_normalizer(2, layers())(x, NOTHING) is x


def test_roles_and_options_are_declared():
    assert spectral.roles == ("weight",)
    assert Batch.roles == ConditionalBatch.roles == ("activation",)
    assert no_normalizer.roles == ("weight", "activation")
    assert resolve_options(spectral, {}, "sn") == {"iterations": 1, "eps": 1e-12, "advance": "always"}
    assert resolve_options(Batch, {}, "n") == {"momentum": 0.1, "eps": 1e-5, "init_std": 0.0}
    assert resolve_options(ConditionalBatch, {"momentum": 0.001}, "n") == {"momentum": 0.001, "eps": 1e-5}
    assert resolve_options(no_normalizer, {}, "n") == {}
    with pytest.raises(UsageError):
        resolve_options(spectral, {"iterations": 0}, "sn")
