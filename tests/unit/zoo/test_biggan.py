"""BigGAN against the authors' PyTorch code: counts, chunks of z, the shared embedding, initialisation."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from zoo_parts import of_type, parameters

from ganbench.api import Condition, UsageError
from ganbench.zoo.architecture.biggan import BigGAN
from ganbench.zoo.attention.self_attention import SelfAttention
from ganbench.zoo.normalizer.conditional_batch import ConditionalBatch


def generator_of(layers, resolution=32, width=8, **asked):
    settings = {"norm": "conditional-batch", "num_classes": 5, "latent_dim": 40} | asked
    return BigGAN(resolution, width=width, shared_dim=6).generator(layers(**settings))


def test_at_128_px_both_networks_have_the_published_number_of_parameters(layers):
    common = {"weight_norm": "spectral", "num_classes": 1000, "attention_at": (64,)}
    with torch.device("meta"):
        generator = BigGAN(128).generator(layers(norm="conditional-batch", latent_dim=120, **common))
        discriminator = BigGAN(128).discriminator(layers(conditioning="projection", **common))
    assert (parameters(generator), parameters(discriminator)) == (70_433_988, 87_982_370)
    for network in (generator, discriminator):
        (block,) = of_type(network, SelfAttention)
        assert block.output.out_channels == (192 if network is generator else 96)


@pytest.mark.parametrize(
    ("resolution", "g", "d"),
    [(64, [1536, 1536, 768, 384, 192], [96, 192, 384, 768, 1536]), (32, [384] * 4, [384] * 4)],
)
def test_channels_at_the_smaller_resolutions_are_those_of_the_code(layers, resolution, g, d):
    with torch.device("meta"):
        generator = BigGAN(resolution).generator(layers(num_classes=10, latent_dim=120))
        discriminator = BigGAN(resolution).discriminator(layers())
    assert [generator.shape[0], *(b.conv2.out_channels for b in generator.blocks)] == g
    assert [b.conv2.out_channels for b in discriminator.blocks] == d


def test_spectral_norm_is_on_the_norms_and_not_on_the_shared_embedding(layers):
    with torch.device("meta"):
        generator = generator_of(layers, weight_norm="spectral")
    assert not parametrize.is_parametrized(generator.shared)
    for block in generator.blocks:
        for norm in (block.norm1, block.norm2):
            assert parametrize.is_parametrized(norm.scale)
            assert norm.scale.bias is norm.shift.bias is None
            assert norm.scale.in_features == 6 + 10
    assert generator.linear.in_features == 10
    assert isinstance(generator.norm, ConditionalBatch)
    assert generator.norm.scale is None


def test_each_chunk_of_z_enters_at_its_own_block(layers):
    generator = generator_of(layers)
    seen = []
    for block in generator.blocks:
        block.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    z, y = torch.randn(3, 40), torch.tensor([4, 0, 2])
    linear = {}
    generator.linear.register_forward_pre_hook(lambda _, given: linear.update(start=given[0]))
    generator(z, y)
    assert torch.equal(linear["start"], z[:, :10])
    label = generator.shared(y)
    for index, condition in enumerate(seen, 1):
        assert torch.equal(condition.vector, torch.cat([label, z[:, 10 * index : 10 * index + 10]], 1))
        assert torch.equal(condition.labels, y)


def test_conditional_batch_by_vector_is_one_plus_a_linear_layer(layers):
    norm = layers(norm="conditional-batch", num_classes=3).norm(4, vector_dim=5)
    x, vector = torch.randn(6, 4, 3, 3), torch.randn(6, 5)
    out = norm(x, Condition(None, None, vector))
    plain = nn.functional.batch_norm(x, None, None, training=True)
    scale, shift = 1 + vector @ norm.scale.weight.T, vector @ norm.shift.weight.T
    torch.testing.assert_close(out, scale[:, :, None, None] * plain + shift[:, :, None, None])


def test_self_modulated_norm_takes_the_vector_of_the_block(layers):
    generator = generator_of(layers, norm="self-modulated")
    norm = generator.blocks[0].norm1
    assert norm.hidden.in_features == 6 + 10
    assert norm.plus is None
    assert generator.norm.hidden.in_features == 40
    assert generator(torch.randn(3, 40), torch.tensor([4, 0, 2])).isfinite().all()


def test_weights_start_orthogonal_and_biases_at_zero(layers):
    generator = generator_of(layers, width=4)
    discriminator = BigGAN(32, width=4).discriminator(layers(num_classes=5, conditioning="projection"))
    checked = 0
    for network in (generator, discriminator):
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear, nn.Embedding)):
                values = torch.linalg.svdvals(module.weight.flatten(1))
                torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-4)
                bias = getattr(module, "bias", None)
                assert bias is None or not bias.any()
                checked += 1
    assert checked > 20


@pytest.mark.parametrize(("resolution", "chunks", "able"), [(32, 4, 80), (64, 5, 100), (128, 6, 120)])
def test_a_latent_that_cannot_be_cut_is_refused_with_one_that_can(layers, resolution, chunks, able):
    model = BigGAN(resolution, width=8)
    with pytest.raises(UsageError, match=f"into {chunks} chunks .* multiple of {chunks}, such as {able}"):
        model.generator(layers(num_classes=5, latent_dim=127))
    with torch.device("meta"):
        model.generator(layers(num_classes=5, latent_dim=able))


def test_without_classes_it_is_refused_with_the_mend(layers):
    with pytest.raises(UsageError, match="class-conditional: set --conditioning projection"):
        BigGAN(32).generator(layers())
