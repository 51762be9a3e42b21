"""The attention blocks against the formulas, written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ganbench.api import UsageError
from ganbench.zoo.attention.none import NoAttention
from ganbench.zoo.attention.residual import Residual
from ganbench.zoo.attention.self_attention import SelfAttention


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def block_with_gamma(layers, channels, gamma, **asked):
    block = SelfAttention(channels, layers(**asked)).double()
    nn.init.constant_(block.gamma, gamma)
    # Large logits: a wrong scale or axis cannot hide in a nearly uniform softmax.
    nn.init.normal_(block.query.weight)
    nn.init.normal_(block.key.weight)
    return block


def written_out(block, x, axis=2, scale=1.0, pool=F.max_pool2d):
    b, c, h, w = x.shape

    def project(conv, inputs):
        return torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], inputs)

    query = project(block.query, x).reshape(b, c // 8, h * w)
    key = pool(project(block.key, x), 2).reshape(b, c // 8, h * w // 4)
    value = pool(project(block.value, x), 2).reshape(b, c // 2, h * w // 4)
    attention = (scale * torch.einsum("bci,bcj->bij", query, key)).softmax(axis)
    attended = torch.einsum("bij,bcj->bci", attention, value).reshape(b, c // 2, h, w)
    return x + block.gamma * project(block.output, attended), attention


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("channels", "height", "width"), [(8, 4, 6), (16, 8, 8), (24, 6, 4), (64, 16, 16)])
def test_self_attention_is_the_released_formula(layers, channels, height, width, memory_format):
    block = block_with_gamma(layers, channels, 0.7).to(memory_format=memory_format)
    x = torch.randn(2, channels, height, width, dtype=torch.float64).to(memory_format=memory_format)
    expected, attention = written_out(block, x)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(block.attention_map(x), attention, rtol=0, atol=1e-10)


@pytest.mark.parametrize("wrong", [{"axis": 1}, {"scale": 2**-0.5}, {"pool": F.avg_pool2d}])
def test_the_reference_tells_a_wrong_axis_scale_or_pool_apart(layers, wrong):
    block = block_with_gamma(layers, 16, 0.7)
    x = torch.randn(2, 16, 8, 8, dtype=torch.float64)
    assert (block(x) - written_out(block, x, **wrong)[0]).abs().max() > 1e-2


def test_gradients_are_those_of_the_formula(layers):
    block = block_with_gamma(layers, 16, 0.7)
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64, requires_grad=True)
    inputs = [x, *block.parameters()]
    ours = torch.autograd.grad(block(x).square().sum(), inputs)
    expected = torch.autograd.grad(written_out(block, x)[0].square().sum(), inputs)
    for first, second in zip(ours, expected, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-9)


def test_self_attention_starts_as_the_identity_and_its_gate_learns_first(layers):
    block = SelfAttention(16, layers("spectral"))
    x = torch.randn(2, 16, 8, 8)
    out = block(x)
    assert torch.equal(out, x)
    (out * torch.randn_like(out)).sum().backward()
    assert block.gamma.shape == ()
    assert block.gamma.grad.item() != 0
    for name, p in block.named_parameters():
        if name != "gamma":
            assert torch.count_nonzero(p.grad) == 0


def test_attention_map_has_a_row_of_probabilities_for_each_place(layers):
    attention = block_with_gamma(layers, 16, 0.0).attention_map(torch.randn(3, 16, 8, 6).double())
    assert attention.shape == (3, 48, 12)
    assert (attention >= 0).all()
    torch.testing.assert_close(attention.sum(2), torch.ones(3, 48, dtype=torch.float64))


@pytest.mark.parametrize("channels", [64, 128, 256, 512, 1024])
def test_parameter_counts(layers, channels):
    with torch.device("meta"):
        attention = SelfAttention(channels, layers("spectral"))
        residual = Residual(channels, layers("spectral"))
    assert parameters(attention) == 1.25 * channels**2 + 1
    assert parameters(residual) == pytest.approx(parameters(attention), rel=0.02)
    assert not any(isinstance(m, nn.Conv2d) and m.bias is not None for m in attention.modules())


def test_all_convolutions_of_the_blocks_are_normalized(layers):
    for block, convs in ((SelfAttention(16, layers("spectral")), 4), (Residual(16, layers("spectral")), 3)):
        assert sum(hasattr(m, "parametrizations") for m in block.modules()) == convs


def test_a_second_derivative_needs_and_gets_the_math_kernel(layers):
    block = block_with_gamma(layers, 16, 0.7)
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):
        (slope,) = torch.autograd.grad(block(x).square().sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert block.query.weight.grad.any()


def test_residual_is_the_bottleneck_and_leaves_its_skip_alone(layers):
    block = Residual(18, layers())
    assert (block.conv1.out_channels, block.conv2.kernel_size) == (5, (3, 3))
    x = torch.randn(2, 18, 6, 6)
    before = x.clone()
    out = block(x)
    assert torch.equal(x, before)
    h = F.conv2d(F.relu(x), block.conv1.weight)
    h = F.conv2d(F.relu(h), block.conv2.weight, padding=1)
    torch.testing.assert_close(out, x + F.conv2d(F.relu(h), block.conv3.weight))
    assert not torch.equal(out, x)


@pytest.mark.parametrize("kind", [SelfAttention, Residual])
def test_too_few_channels_are_refused_with_the_mend(layers, kind):
    kind(8, layers())
    with pytest.raises(UsageError, match=r"8 channels or more.*architecture\.width"):
        kind(7, layers())


def test_no_attention_is_the_identity(layers):
    x = torch.randn(1, 3, 2, 2)
    assert NoAttention(3, layers())(x) is x
