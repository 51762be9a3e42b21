"""The networks of WGAN-GP against the released code."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from zoo_parts import parameters

from ganbench.zoo.architecture.wgan_gp import WGANGP


def test_the_32_px_networks_have_the_published_number_of_parameters(layers):
    with torch.device("meta"):
        generator = WGANGP(32).generator(layers(norm="batch"))
        discriminator = WGANGP(32).discriminator(layers())
    assert (parameters(generator), parameters(discriminator)) == (1_204_483, 1_053_825)


def test_the_64_px_networks_have_the_parameters_of_the_released_code(layers):
    def block(before, after, hidden):
        norms = 2 * before + 2 * hidden
        return norms + 9 * before * hidden + 9 * hidden * after + after + before * after + after

    up = [(512, 512), (512, 256), (256, 128), (128, 64)]
    down = [(64, 128), (128, 256), (256, 512), (512, 512)]
    g = 128 * 8192 + 8192 + sum(block(i, o, o) for i, o in up) + 2 * 64 + 64 * 27 + 3
    d = 27 * 64 + 64 + sum(block(i, o, i) for i, o in down) + 8192 + 1
    with torch.device("meta"):
        generator = WGANGP(64).generator(layers(norm="batch"))
        discriminator = WGANGP(64).discriminator(layers(norm="layer"))
    assert (parameters(generator), parameters(discriminator)) == (g, d)


def test_the_32_px_discriminator_averages_over_places(layers):
    discriminator = WGANGP(32, width=4).discriminator(layers())
    features = {}
    discriminator.blocks[-1].register_forward_hook(lambda _m, _i, out: features.update(map=out))
    discriminator.head.register_forward_pre_hook(lambda _, given: features.update(pooled=given[0]))
    discriminator(torch.randn(2, 3, 32, 32), None)
    torch.testing.assert_close(features["pooled"], features["map"].relu().flatten(2).mean(2))


def test_the_64_px_discriminator_flattens_the_last_map_as_it_is(layers):
    discriminator = WGANGP(64, width=4).discriminator(layers(norm="layer"))
    features = {}
    discriminator.blocks[-1].register_forward_hook(lambda _m, _i, out: features.update(map=out))
    discriminator.input.register_forward_hook(lambda _m, _i, out: features.update(start=out))
    discriminator.head.register_forward_pre_hook(lambda _, given: features.update(flat=given[0]))
    x = torch.randn(2, 3, 64, 64)
    discriminator(x, None)
    assert features["start"].shape == (2, 4, 64, 64)
    assert features["map"].shape == (2, 32, 4, 4)
    assert (features["map"] < 0).any()
    assert torch.equal(features["flat"], features["map"].flatten(1))


def test_a_64_px_discriminator_block_is_the_published_sum(layers):
    block = WGANGP(64, width=4).discriminator(layers(norm="layer")).blocks[0]
    x = torch.randn(2, 4, 8, 8)
    h = F.conv2d(F.layer_norm(x, x.shape[1:]).relu(), block.conv1.weight, None, padding=1)
    assert block.conv1.bias is None
    h = F.conv2d(F.layer_norm(h, h.shape[1:]).relu(), block.conv2.weight, block.conv2.bias, padding=1)
    expected = F.avg_pool2d(h, 2) + F.conv2d(F.avg_pool2d(x, 2), block.skip.weight, block.skip.bias)
    torch.testing.assert_close(block(x, None), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resolution", [32, 64])
def test_glorot_gains(layers, resolution):
    def gain(weight):
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
        return weight.abs().max().item() / math.sqrt(6 / (fan_in + fan_out))

    model = WGANGP(resolution, width=16)
    generator, discriminator = model.generator(layers()), model.discriminator(layers())
    for block in [*generator.blocks, *discriminator.blocks]:
        assert gain(block.conv1.weight) == pytest.approx(math.sqrt(2), rel=0.02)
        assert gain(block.conv2.weight) == pytest.approx(math.sqrt(2), rel=0.02)
        if not isinstance(block.skip, nn.Identity):
            assert gain(block.skip.weight) == pytest.approx(1, rel=0.05)
    assert gain(generator.linear.weight) == pytest.approx(1, rel=0.02)
    assert gain(generator.output.weight) == pytest.approx(1 if resolution == 32 else math.sqrt(2), rel=0.05)
