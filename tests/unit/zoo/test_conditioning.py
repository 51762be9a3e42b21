"""How labels enter: in every architecture, by every conditioning, through the layers alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from zoo_parts import ARCHITECTURES, LATENT, parameters

from ganbench.conditioning import ConcatGenerator
from ganbench.zoo.architecture.dcgan import DCGAN

KINDS = ("projection", "acgan", "concat")


def built(layers, name, conditioning, norm="conditional-batch"):
    """Both networks as the harness builds them, at the smallest size."""
    asked = {"num_classes": 5, "conditioning": conditioning}
    model = ARCHITECTURES[name](32, width=8)
    of_g = layers(norm=norm, latent_dim=LATENT, **asked)
    return of_g.driven(model.generator(of_g)), model.discriminator(layers(latent_dim=0, **asked))


def head_of(layers, conditioning, **asked):
    return layers(num_classes=3, conditioning=conditioning, **asked).head(6).double()


FEATURES = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([2, 0, 1, 2])


def test_projection_is_its_equation(layers):
    head = head_of(layers, "projection")
    output = head(FEATURES, LABELS)
    expected = FEATURES @ head.linear.weight[0] + (head.embedding.weight[LABELS] * FEATURES).sum(1)
    torch.testing.assert_close(output.logits, expected)
    assert output.class_logits is None


def test_acgan_has_a_linear_classifier_on_the_features(layers):
    head = head_of(layers, "acgan")
    output = head(FEATURES, LABELS)
    torch.testing.assert_close(output.logits, FEATURES @ head.linear.weight[0])
    torch.testing.assert_close(output.class_logits, FEATURES @ head.classifier.weight.T)
    assert output.class_logits.shape == (4, 3)
    assert torch.equal(head(FEATURES, None).class_logits, output.class_logits)


def test_concat_joins_the_embedded_label_before_a_hidden_layer(layers):
    head = head_of(layers, "concat")
    both = torch.cat([FEATURES, head.embedding.weight[LABELS]], 1)
    assert both.shape == (4, 6 + 50)
    joint = F.leaky_relu(both @ head.joint.weight.T, 0.2)
    assert joint.shape == (4, 240)
    torch.testing.assert_close(head(FEATURES, LABELS).logits, joint @ head.linear.weight[0])


def test_concat_tells_labels_apart_by_more_than_a_shift(layers):
    head = head_of(layers, "concat")
    zero, one = (head(FEATURES, torch.full((4,), label)).logits for label in (0, 1))
    assert (zero - one).std() > 1e-3


def test_concat_drives_the_generator_with_z_and_the_embedded_label(layers):
    asked = layers(num_classes=3, conditioning="concat", latent_dim=4)
    assert asked.latent_dim == 8
    inner = nn.Identity()
    inner.forward = lambda drive, labels: drive
    generator = asked.driven(inner)
    assert isinstance(generator, ConcatGenerator)
    z, y = torch.randn(2, 4), torch.tensor([2, 0])
    assert torch.equal(generator(z, y), torch.cat([z, generator.embedding.weight[y]], 1))


@pytest.mark.parametrize("conditioning", ["none", "projection", "acgan"])
def test_the_others_leave_the_generator_as_it_is(layers, conditioning):
    generator = nn.Identity()
    asked = layers(num_classes=3, conditioning=conditioning, latent_dim=4)
    assert asked.driven(generator) is generator
    assert asked.latent_dim == 4


def test_the_label_tables_of_concat_keep_their_scale(layers):
    asked = layers("spectral", num_classes=3, conditioning="concat", latent_dim=4)
    for table in (asked.driven(nn.Identity()).embedding, asked.head(6).embedding):
        assert not parametrize.is_parametrized(table)
        assert 0.3 < table.weight.std() < 2


@pytest.mark.parametrize("conditioning", KINDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_labels_change_what_both_networks_say_in_every_architecture(layers, name, conditioning):
    # With concat, G needs no conditional normalizer to see them; BigGAN has its labels by the norm alone.
    plain = conditioning == "concat" and name != "biggan"
    generator, discriminator = built(layers, name, conditioning, "batch" if plain else "conditional-batch")
    for table in (m for m in generator.modules() if isinstance(m, nn.Embedding)):
        nn.init.normal_(table.weight)
    z = torch.randn(3, LATENT)
    zeros, ones = torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.long)
    images = generator(z, zeros)
    assert images.shape == (3, 3, 32, 32)
    assert not torch.allclose(images, generator(z, ones), atol=1e-4)
    first, second = discriminator(images, zeros), discriminator(images, ones)
    assert torch.allclose(first.logits, second.logits) == (conditioning == "acgan")
    assert (first.class_logits is not None) == (conditioning == "acgan")


@pytest.mark.parametrize("conditioning", ["acgan", "concat"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_learns(layers, name, conditioning):
    generator, discriminator = built(layers, name, conditioning)
    y = torch.tensor([0, 4, 2])
    output = discriminator(generator(torch.randn(3, LATENT), y), y)
    total = output.logits.square().sum()
    if output.class_logits is not None:
        total = total + F.cross_entropy(output.class_logits, y)
    total.backward()
    for network in (generator, discriminator):
        assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_what_each_conditioning_costs_in_parameters(layers):
    features, classes = 128 * 4 * 4, 5

    def count(conditioning):
        with torch.device("meta"):
            return parameters(DCGAN(32, width=32).discriminator(layers(num_classes=classes, conditioning=conditioning)))

    base = count("none")
    assert count("projection") - base == classes * features
    assert count("acgan") - base == classes * features + classes
    assert count("concat") - base == (features + 50) * 240 + 240 + 240 + 50 * classes - features
