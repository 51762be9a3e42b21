"""Instance, layer, group and self-modulated norm against their definitions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from ganbench.api import Condition, UsageError
from ganbench.options import resolve_options
from ganbench.zoo.architecture.sngan import SNGAN
from ganbench.zoo.normalizer.group import Group
from ganbench.zoo.normalizer.instance import Instance
from ganbench.zoo.normalizer.layer import Layer
from ganbench.zoo.normalizer.self_modulated import SelfModulated

NOTHING = Condition(None, None)
PER_IMAGE = {
    "instance": (Instance, {}, (8, 1)),
    "layer": (Layer, {}, (1, 8)),
    "group": (Group, {"groups": 4}, (4, 2)),
}


@pytest.mark.parametrize("name", PER_IMAGE)
def test_mean_and_variance_are_taken_over_the_right_axes(layers, name):
    make, options, parts = PER_IMAGE[name]
    norm = make(8, layers(), eps=0.5, **options).double()
    with torch.no_grad():
        norm.norm.weight.copy_(torch.arange(8.0))
        norm.norm.bias.copy_(-torch.arange(8.0))
    x = 3 * torch.randn(2, 8, 5, 5, dtype=torch.float64) + 1
    grouped = x.view(2, *parts, 25)
    mean = grouped.mean((2, 3), keepdim=True)
    variance = grouped.var((2, 3), correction=0, keepdim=True)
    expected = ((grouped - mean) / (variance + 0.5).sqrt()).view_as(x)
    scale = torch.arange(8.0, dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(norm(x, NOTHING), scale * expected - scale)


@pytest.mark.parametrize("name", PER_IMAGE)
def test_no_image_depends_on_the_others_and_training_is_evaluation(layers, name):
    make, options, _ = PER_IMAGE[name]
    norm = make(8, layers(), **options)
    assert torch.equal(norm.norm.weight, torch.ones(8))
    assert not norm.norm.bias.any()
    x = torch.randn(4, 8, 3, 3)
    together = norm(x, NOTHING)
    torch.testing.assert_close(norm(x[:1], NOTHING), together[:1])
    torch.testing.assert_close(norm.eval()(x, NOTHING), together)
    assert list(norm.buffers()) == []


def test_groups_that_do_not_divide_the_channels_are_refused_with_those_that_do(layers):
    with pytest.raises(UsageError, match=r"part 12 channels into groups=8 .* into 1, 2, 3, 4, 6, 12: set groups"):
        Group(12, layers(), groups=8)
    assert resolve_options(Group, {}, "n") == {"groups": 32, "eps": 1e-5}
    with pytest.raises(UsageError):
        resolve_options(Group, {"groups": 0}, "n")


def self_modulated(layers, **asked):
    norm = layers(norm="self-modulated", latent_dim=5, **asked).norm(3).double()
    for p in norm.parameters():
        nn.init.normal_(p)
    return norm


def by_hand(norm, x, drive):
    hidden = (drive @ norm.hidden.weight.T + norm.hidden.bias).relu()
    scale = hidden @ norm.scale.weight.T + norm.scale.bias
    shift = hidden @ norm.shift.weight.T + norm.shift.bias
    plain = F.batch_norm(x, None, None, training=True)
    return scale[:, :, None, None] * plain + shift[:, :, None, None]


def test_self_modulation_by_hand(layers):
    norm = self_modulated(layers)
    x, z = torch.randn(4, 3, 2, 2, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(norm(x, Condition(None, z)), by_hand(norm, x, z))
    # Two layers for the scale and the shift on 32 hidden units, and no other parameter.
    assert sum(p.numel() for p in norm.parameters()) == 5 * 32 + 32 + 2 * (32 * 3 + 3)


def test_self_modulation_with_labels_by_hand(layers):
    norm = self_modulated(layers, num_classes=4)
    x, z = torch.randn(4, 3, 2, 2, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    y = torch.tensor([3, 1, 0, 3])
    drive = z + norm.plus.weight[y] + z * norm.times.weight[y]
    torch.testing.assert_close(norm(x, Condition(y, z)), by_hand(norm, x, drive))


def test_self_modulation_starts_near_plain_batch_norm_and_without_labels_where_asked(layers):
    asked = layers(norm="self-modulated", latent_dim=5, num_classes=4)
    norm = asked.norm(3, per_class=False)
    assert norm.plus is None
    assert torch.equal(norm.scale.bias, torch.ones(3))
    for p in (norm.hidden.bias, norm.shift.bias):
        assert not p.any()
    x = torch.randn(6, 3, 4, 4)
    plain = F.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(norm(x, Condition(None, torch.randn(6, 5))), plain, rtol=0, atol=0.05)
    assert asked.norm(3).plus.weight.std().item() == pytest.approx(0.02, rel=0.5)


def test_self_modulation_takes_the_weight_normalizer_of_its_network(layers):
    norm = layers("spectral", norm="self-modulated", latent_dim=5, num_classes=4).norm(3)
    assert all(parametrize.is_parametrized(m) for m in (norm.hidden, norm.scale, norm.shift))
    assert not any(parametrize.is_parametrized(m) for m in (norm.plus, norm.times))


def test_self_modulation_needs_the_latent(layers):
    with pytest.raises(UsageError, match="a discriminator does not have: use it as --norm-g"):
        SelfModulated(4, layers(latent_dim=0))
    x = torch.randn(2, 4, 3, 3)
    with pytest.raises(ValueError, match="without the latent vector"):
        SelfModulated(4, layers(latent_dim=5))(x, NOTHING)
    with pytest.raises(ValueError, match="built for labels"):
        SelfModulated(4, layers(latent_dim=5, num_classes=2))(x, Condition(None, torch.randn(2, 5)))


@pytest.mark.parametrize("name", ["self-modulated", "instance", "layer", "group"])
def test_a_generator_takes_them(layers, name):
    options = {"groups": 4} if name == "group" else {}
    generator = SNGAN(32, width=4).generator(layers(norm=name, latent_dim=6, norm_options=options))
    images = generator(torch.randn(3, 6), None)
    images.square().mean().backward()
    assert images.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


@pytest.mark.parametrize("name", ["self-modulated", "instance", "layer", "group"])
def test_they_survive_bfloat16(layers, name):
    options = {"groups": 2} if name == "group" else {}
    norm = layers(norm=name, latent_dim=6, norm_options=options).norm(4)
    x = torch.randn(3, 4, 3, 3, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = norm(x, Condition(None, torch.randn(3, 6)))
    assert out.isfinite().all()
