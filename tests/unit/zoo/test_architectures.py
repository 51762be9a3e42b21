"""The networks against the parameter counts and the wiring of the published code."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from zoo_parts import ARCHITECTURES, CONDITIONAL_ONLY, EVERY_ARCHITECTURE, LATENT, least, of_type, parameters, silence

from ganbench.api import Condition, Layers
from ganbench.zoo.architecture.dcgan import DCGAN
from ganbench.zoo.architecture.resnet import DiscriminatorBlock, FirstBlock, GeneratorBlock
from ganbench.zoo.architecture.sagan import SAGAN
from ganbench.zoo.architecture.sngan import SNGAN
from ganbench.zoo.attention.residual import Residual
from ganbench.zoo.attention.self_attention import SelfAttention
from ganbench.zoo.normalizer.conditional_batch import ConditionalBatch


@pytest.mark.parametrize(
    ("case", "g", "d"),
    [
        (("sagan", 128, 1000, ()), 41_996_931, 39_443_137),
        (("sagan", 128, 1000, (32,)), 42_078_852, 39_463_618),
        (("sagan", 128, 1000, (64,)), 42_017_412, 39_448_258),
        (("sagan", 64, 0, (32,)), 12_241_156, 19_547_842),
        (("sagan", 32, 10, (16,)), 4_386_308, 1_075_586),
        (("sngan", 32, 0, ()), 4_276_739, 1_053_824),
        (("sngan", 32, 10, ()), 4_304_387, 1_055_104),
        (("sngan", 48, 0, ()), 4_878_083, 10_141_441),
        (("sngan", 64, 0, ()), 12_220_675, 10_141_441),
        (("sngan", 64, 1000, ()), 17_974_915, 11_165_441),
        (("sngan", 128, 0, ()), 32_150_787, 29_017_857),
        (("sngan", 128, 1000, ()), 41_996_931, 30_041_857),
    ],
)
def test_resnets_have_the_published_number_of_parameters(layers, case, g, d):
    name, resolution, classes, attention_at = case
    model = ARCHITECTURES[name](resolution)
    norm = "conditional-batch" if classes else "batch"
    with torch.device("meta"):
        generator = model.generator(layers(norm=norm, num_classes=classes, attention_at=attention_at))
        discriminator = model.discriminator(
            layers(
                "spectral",
                num_classes=classes,
                conditioning="projection" if classes else "none",
                attention_at=attention_at,
            )
        )
    assert (parameters(generator), parameters(discriminator)) == (g, d)


@pytest.mark.parametrize(("resolution", "g", "d"), [(64, 3_576_704, 2_765_568), (32, 1_068_928, 663_296)])
def test_dcgan_has_the_published_number_of_parameters(layers, resolution, g, d):
    model = DCGAN(resolution)
    with torch.device("meta"):
        generator = model.generator(layers(norm="batch", latent_dim=100))
        discriminator = model.discriminator(layers(norm="batch"))
    assert (parameters(generator), parameters(discriminator)) == (g, d)


def test_sagan_128_with_attention_normalizes_21_layers_of_g_and_23_of_d_and_no_conditional_norm(layers):
    common = {"weight_norm": "spectral", "num_classes": 1000, "attention_at": (32,)}
    with torch.device("meta"):
        generator = SAGAN(128).generator(layers(norm="conditional-batch", **common))
        discriminator = SAGAN(128).discriminator(layers(conditioning="projection", **common))

    def normalized(network):
        return [m for m in network.modules() if parametrize.is_parametrized(m)]

    assert len(normalized(generator)) == 21
    assert len(normalized(discriminator)) == 23
    inside = [m for norm in of_type(generator, ConditionalBatch) for m in norm.modules()]
    assert inside
    assert not any(parametrize.is_parametrized(m) for m in inside)


@pytest.mark.parametrize(("feature_map", "g", "d"), [(8, 1024, 512), (16, 512, 256), (32, 256, 128), (64, 128, 64)])
def test_attention_of_sagan_128_sits_where_the_released_code_has_it(layers, feature_map, g, d):
    with torch.device("meta"):
        for network, channels in (
            (SAGAN(128).generator(layers(norm="batch", attention_at=(feature_map,))), g),
            (SAGAN(128).discriminator(layers(attention_at=(feature_map,))), d),
        ):
            (block,) = of_type(network, SelfAttention)
            assert block.output.out_channels == channels


@pytest.mark.parametrize(("name", "resolution"), EVERY_ARCHITECTURE)
def test_every_feature_map_is_offered_once(layers, name, resolution):
    model = ARCHITECTURES[name](resolution)
    for build in (model.generator, model.discriminator):
        with torch.device("meta"):
            asked = layers(**least(name))
            build(asked)
            offered = tuple(asked.feature_maps)
            assert len(set(offered)) == len(offered)
            assert len(of_type(build(layers(attention_at=offered, **least(name))), SelfAttention)) == len(offered)


def test_sagan_offers_the_feature_maps_of_the_paper_in_both_networks(layers):
    with torch.device("meta"):
        g, d = layers(), layers()
        SAGAN(128).generator(g)
        SAGAN(128).discriminator(d)
    assert g.feature_maps == [8, 16, 32, 64, 128]
    assert d.feature_maps == [64, 32, 16, 8, 4]


def test_sagan_256_has_one_block_more_than_128_in_each_network_where_biggan_has_it(layers):
    with torch.device("meta"):
        g, d = layers(), layers()
        generator, discriminator = SAGAN(256).generator(g), SAGAN(256).discriminator(d)
    assert [b.conv2.out_channels // 64 for b in generator.blocks] == [16, 8, 8, 4, 2, 1]
    assert [b.conv2.out_channels // 64 for b in discriminator.blocks] == [1, 2, 4, 8, 8, 16, 16]
    assert g.feature_maps == [8, 16, 32, 64, 128, 256]
    assert d.feature_maps == [128, 64, 32, 16, 8, 4]


@pytest.mark.parametrize(
    ("name", "resolution", "conditional"),
    [(n, r, c) for n, r in EVERY_ARCHITECTURE for c in (False, True) if c or n not in CONDITIONAL_ONLY],
)
def test_networks_map_to_images_and_logits_and_every_parameter_learns(layers, name, resolution, conditional):
    classes = 5 if conditional else 0
    model = ARCHITECTURES[name](resolution, width=8)
    common = {"weight_norm": "spectral", "num_classes": classes, "latent_dim": LATENT, "attention_at": (16, 12)}
    generator = model.generator(layers(norm="conditional-batch" if conditional else "batch", **common))
    discriminator = model.discriminator(
        layers(norm="none", conditioning="projection" if conditional else "none", **common)
    )
    attention = of_type(generator, SelfAttention) + of_type(discriminator, SelfAttention)
    assert len(attention) == 2
    for block in attention:  # at gamma 0 its convolutions have no gradient, by design
        nn.init.constant_(block.gamma, 0.5)
    y = torch.tensor([0, 4, 2]) if conditional else None

    images = generator(torch.randn(3, LATENT), y)
    assert images.shape == (3, 3, resolution, resolution)
    assert images.abs().max() <= 1
    assert images.std() > 0
    output = discriminator(images, y)
    assert output.logits.shape == (3,)
    assert output.class_logits is None

    output.logits.square().sum().backward()
    for network in (generator, discriminator):
        without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        # Batch norm takes away the bias before it: that gradient is 0 but for rounding.
        assert [n for n in without if not n.endswith("bias")] == []
        assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_memory_format_changes_nothing_but_rounding(layers, name):
    torch.set_default_dtype(torch.float64)
    try:
        model = ARCHITECTURES[name](32, width=8)
        asked = layers("spectral", attention_at=(16,), **least(name))
        networks = model.generator(asked), model.discriminator(asked)
        z, y = torch.randn(2, LATENT), torch.tensor([3, 1])
        results = []
        for memory_format in (torch.contiguous_format, torch.channels_last):
            generator, discriminator = (n.eval().to(memory_format=memory_format) for n in networks)
            images = generator(z, y)
            results.append((images, discriminator(images.to(memory_format=memory_format), y).logits))
    finally:
        torch.set_default_dtype(torch.float32)
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-10)


def test_width_scales_the_channels_of_every_layer(layers):
    for name, resolution in EVERY_ARCHITECTURE:
        with torch.device("meta"):
            for build in ("generator", "discriminator"):
                narrow, wide = (
                    [
                        c.out_channels
                        for c in of_type(
                            getattr(ARCHITECTURES[name](resolution, width=w), build)(layers(**least(name))),
                            (nn.Conv2d, nn.ConvTranspose2d),
                        )
                        if c.out_channels != 3
                    ]
                    for w in (8, 16)
                )
                assert wide == [2 * c for c in narrow]


def test_thin_blocks_widen_in_the_second_convolution_and_sagan_blocks_in_the_first(layers):
    with torch.device("meta"):
        thin = SNGAN(64).discriminator(layers()).blocks[1]
        wide = SAGAN(64).discriminator(layers()).blocks[1]
    assert (thin.conv1.out_channels, thin.conv2.out_channels) == (64, 128)
    assert (wide.conv1.out_channels, wide.conv2.out_channels) == (128, 128)


def test_which_blocks_of_the_discriminators_downsample(layers):
    with torch.device("meta"):
        down = {
            (name, resolution): [
                getattr(b, "down", True) for b in ARCHITECTURES[name](resolution).discriminator(layers()).blocks
            ]
            for name, resolution in EVERY_ARCHITECTURE
            if name in ("sngan", "sagan", "biggan")
        }
    yes, no = True, False
    for name in ("sngan", "sagan"):
        assert down[name, 32] == [yes, yes, no, no]
        assert down[name, 128] == [yes, yes, yes, yes, yes, no]
    assert down["sagan", 256] == [yes, yes, yes, yes, yes, yes, no]
    assert down["biggan", 32] == [yes, yes, no, no]
    assert down["biggan", 64] == [yes, yes, yes, yes, no]
    assert down["biggan", 128] == [yes, yes, yes, yes, yes, no]
    assert down["sngan", 48] == [yes, yes, yes, yes, no]
    assert down["sngan", 64] == [yes] * 5
    assert down["sagan", 64] == [yes, yes, yes, yes, no]


def test_only_the_32_px_sngan_has_a_last_linear_layer_without_bias(layers):
    with torch.device("meta"):
        for name in ("sngan", "sagan"):
            for resolution in ARCHITECTURES[name].resolutions:
                bias = ARCHITECTURES[name](resolution).discriminator(layers()).head.linear.bias
                assert (bias is None) == ((name, resolution) == ("sngan", 32))


@pytest.mark.parametrize(("name", "gain"), [("sngan", math.sqrt(2)), ("sagan", 1.0)])
def test_glorot_gain_of_the_residual_branches_and_of_the_rest(layers, name, gain):
    def relative_bound(weight):
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
        return weight.abs().max().item() / math.sqrt(6 / (fan_in + fan_out))

    model = ARCHITECTURES[name](32, width=32)
    generator, discriminator = model.generator(layers()), model.discriminator(layers())
    for block in [*generator.blocks, *discriminator.blocks]:
        for conv in (block.conv1, block.conv2):
            assert relative_bound(conv.weight) == pytest.approx(gain, rel=0.01)
        if not isinstance(block.skip, nn.Identity):
            assert relative_bound(block.skip.weight) == pytest.approx(1, rel=0.03)
    for layer in (generator.linear, generator.output, discriminator.head.linear):
        assert relative_bound(layer.weight) == pytest.approx(1, rel=0.05)
    for network in (generator, discriminator):
        assert not any(p.any() for n, p in network.named_parameters() if n.endswith("bias"))


def test_dcgan_initialises_all_weights_with_a_standard_deviation_of_002_and_has_no_biases(layers):
    asked = {"norm": "batch", "norm_options": {"init_std": 0.02}, "attention_at": (16,)}
    for network in (
        DCGAN(32, width=32).generator(layers(**asked)),
        DCGAN(32, width=32).discriminator(layers(**asked)),
    ):
        for name, p in network.named_parameters():
            if p.dim() > 1:
                assert p.std().item() == pytest.approx(0.02, rel=0.2)
                assert abs(p.mean().item()) < 0.002
            elif name.endswith("norm.weight"):
                assert p.mean().item() == pytest.approx(1, abs=0.02)
                assert 0.01 < p.std().item() < 0.03
        layers_with_bias = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
        assert all(m.bias is None for m in layers_with_bias)


def test_dcgan_head_is_the_published_last_convolution(layers):
    discriminator = DCGAN(32, width=8).discriminator(layers()).eval()
    features = {}
    discriminator.head.register_forward_pre_hook(lambda _, given: features.update(flat=given[0]))
    logits = discriminator(torch.randn(3, 3, 32, 32), None).logits
    kernel = discriminator.head.linear.weight.view(1, 32, 4, 4)
    expected = F.conv2d(features["flat"].view(3, 32, 4, 4), kernel).flatten()
    torch.testing.assert_close(logits, expected)


def test_dcgan_is_the_published_chain(layers):
    model, y = DCGAN(64, width=8), None
    generator = model.generator(layers(norm="batch", latent_dim=5))
    discriminator = model.discriminator(layers(norm="batch"))

    def normalized(h):
        return F.batch_norm(h, None, None, training=True)

    h = z = torch.randn(4, 5)
    h = F.relu(normalized(F.conv_transpose2d(h[:, :, None, None], generator.convs[0].weight)))
    for conv in generator.convs[1:-1]:
        h = F.relu(normalized(F.conv_transpose2d(h, conv.weight, stride=2, padding=1)))
    h = F.conv_transpose2d(h, generator.convs[-1].weight, stride=2, padding=1).tanh()
    torch.testing.assert_close(generator(z, y), h, rtol=1e-4, atol=1e-5)

    assert [n.num_features for n in of_type(discriminator, nn.BatchNorm2d)] == [16, 32, 64]
    x = h.detach()
    h = F.leaky_relu(F.conv2d(x, discriminator.convs[0].weight, stride=2, padding=1), 0.2)
    for conv in discriminator.convs[1:]:
        h = F.leaky_relu(normalized(F.conv2d(h, conv.weight, stride=2, padding=1)), 0.2)
    expected = h.flatten(1) @ discriminator.head.linear.weight[0]
    torch.testing.assert_close(discriminator(x, y).logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden", ["in", "out"])
@pytest.mark.parametrize("down", [False, True])
def test_the_skip_of_a_discriminator_block_sees_its_input_and_not_its_activation(layers, down, hidden):
    block = DiscriminatorBlock(layers(), 6, 6 if not down else 9, down=down, hidden=hidden)
    silence(block.conv2)
    x = torch.randn(2, 6, 8, 8)  # of both signs: a rectified skip would lose the negative half
    before = x.clone()
    skipped = block(x, Condition(None, None))
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    expected = F.avg_pool2d(F.conv2d(x, block.skip.weight, block.skip.bias), 2) if down else x
    torch.testing.assert_close(skipped, expected)


def test_discriminator_block_is_the_published_sum(layers):
    block = DiscriminatorBlock(layers(), 4, 6, down=True, hidden="in")
    x = torch.randn(2, 4, 8, 8)
    branch = F.avg_pool2d(block.conv2(F.relu(block.conv1(F.relu(x)))), 2)
    skip = F.avg_pool2d(block.skip(x), 2)
    torch.testing.assert_close(block(x, Condition(None, None)), branch + skip)


def test_first_block_does_not_rectify_the_image(layers):
    block = FirstBlock(layers(), 5)
    x = torch.randn(2, 3, 8, 8)
    branch = F.avg_pool2d(block.conv2(F.relu(block.conv1(x))), 2)
    skip = block.skip(F.avg_pool2d(x, 2))
    torch.testing.assert_close(block(x, Condition(None, None)), branch + skip)


def test_generator_block_is_the_published_sum(layers):
    block = GeneratorBlock(layers(norm="batch"), 4, 6)
    x, condition = torch.randn(2, 4, 5, 5), Condition(None, None)

    def twice(t):
        return t.repeat_interleave(2, 2).repeat_interleave(2, 3)

    h = block.conv1(twice(F.relu(F.batch_norm(x, None, None, training=True))))
    h = block.conv2(F.relu(F.batch_norm(h, None, None, training=True)))
    torch.testing.assert_close(block(x, condition), h + block.skip(twice(x)), rtol=1e-4, atol=1e-5)


def test_the_discriminator_sums_over_places(layers):
    discriminator = SAGAN(32, width=8).discriminator(layers())
    for block in discriminator.blocks[2:]:
        silence(block.conv2)
    features = {}
    discriminator.blocks[1].register_forward_hook(lambda _m, _i, out: features.update(map=out))
    discriminator.head.register_forward_pre_hook(lambda _, given: features.update(pooled=given[0]))
    discriminator(torch.randn(2, 3, 32, 32), None)
    # The two last blocks are now identities.
    torch.testing.assert_close(features["pooled"], features["map"].relu().flatten(2).sum(2))


def test_the_last_norm_of_a_conditional_generator_is_the_same_for_every_class(layers):
    generator = SNGAN(32, width=8).generator(layers(norm="conditional-batch", num_classes=3))
    assert generator.norm.scale is None
    assert generator.norm.norm.affine
    assert all(n.scale is not None for b in generator.blocks for n in (b.norm1, b.norm2))


def test_labels_change_images_and_logits(layers):
    model = SNGAN(32, width=8)
    asked = {"num_classes": 2, "latent_dim": 4}
    generator = model.generator(layers(norm="conditional-batch", **asked))
    discriminator = model.discriminator(layers(conditioning="projection", **asked))
    for norm in of_type(generator, ConditionalBatch):
        if norm.shift is not None:
            nn.init.normal_(norm.shift.weight)
    z = torch.randn(2, 4)
    zeros, ones = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    images = generator(z, zeros)
    assert not torch.allclose(images, generator(z, ones))
    assert not torch.allclose(discriminator(images, zeros).logits, discriminator(images, ones).logits)


def test_the_residual_control_takes_the_place_of_attention(layers):
    asked: Layers = layers(attention="residual", attention_at=(16,))
    assert len(of_type(SAGAN(32, width=8).discriminator(asked), Residual)) == 1
