"""The 'standard CNN' of SNGAN against its table."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from zoo_parts import of_type, parameters

from ganbench.zoo.architecture.sngan_cnn import SNGANCNN


def test_both_networks_have_the_published_number_of_parameters(layers):
    with torch.device("meta"):
        generator = SNGANCNN(32).generator(layers(norm="batch"))
        discriminator = SNGANCNN(32).discriminator(layers("spectral"))
    assert (parameters(generator), parameters(discriminator)) == (3_812_355, 2_935_873)


def test_the_discriminator_is_the_published_chain(layers):
    discriminator = SNGANCNN(32, width=4).discriminator(layers())
    convs = of_type(discriminator, nn.Conv2d)
    assert [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in convs] == [
        *((4, 3, 1), (4, 4, 2), (8, 3, 1), (8, 4, 2), (16, 3, 1), (16, 4, 2), (32, 3, 1))
    ]
    h = x = torch.randn(2, 3, 32, 32)
    for conv in convs:
        h = F.leaky_relu(F.conv2d(h, conv.weight, conv.bias, conv.stride, 1), 0.1)
    expected = F.linear(h.flatten(1), discriminator.head.linear.weight, discriminator.head.linear.bias)
    torch.testing.assert_close(discriminator(x, None).logits, expected.squeeze(1))


def test_the_generator_is_the_published_chain(layers):
    generator = SNGANCNN(32, width=4).generator(layers(norm="batch", latent_dim=7))
    z = torch.randn(5, 7)
    h = F.linear(z, generator.linear.weight, generator.linear.bias).view(5, 32, 4, 4)
    for conv in generator.convs:
        h = F.conv_transpose2d(h, conv.weight, conv.bias, stride=2, padding=1)
        h = F.batch_norm(h, None, None, training=True).relu()
    expected = F.conv2d(h, generator.output.weight, generator.output.bias, padding=1).tanh()
    torch.testing.assert_close(generator(z, None), expected, rtol=1e-4, atol=1e-5)


def test_a_norm_of_the_discriminator_stands_before_every_activation_but_the_first(layers):
    discriminator = SNGANCNN(32, width=4).discriminator(layers(norm="batch"))
    assert [n.num_features for n in of_type(discriminator, nn.BatchNorm2d)] == [4, 8, 8, 16, 16, 32]
    assert discriminator(torch.randn(2, 3, 32, 32), None).logits.isfinite().all()


def test_weights_start_with_a_standard_deviation_of_002_and_biases_at_zero(layers):
    for network in (SNGANCNN(32).generator(layers()), SNGANCNN(32).discriminator(layers())):
        for name, p in network.named_parameters():
            if name.endswith("bias"):
                assert not p.any()
            else:
                assert abs(p.std().item() - 0.02) < 0.002
