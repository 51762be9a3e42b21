"""Operations done as one give what they give one after the other, in values, gradients and memory."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ganbench.bench.measure import rise
from ganbench.fused import FEW_PRODUCTS, attend, conv_pooled, conv_upsampled, written_out

TWO_AS_ONE = {"upsampled": conv_upsampled, "pooled": conv_pooled}


def with_gradients(function, conv, x):
    """The output and the gradients of a weighted sum of it: for x, the kernel, the bias."""
    out = function(conv, x)
    weights = torch.arange(out.numel(), dtype=out.dtype).view_as(out).sin()
    return out, *torch.autograd.grad((out * weights).sum(), [x, *conv.parameters()])


@pytest.mark.parametrize("name", TWO_AS_ONE)
@given(
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_two_as_one_are_the_two_one_after_the_other(name, channels, size, bias, last):
    function, scale = TWO_AS_ONE[name], 2 if name == "pooled" else 1
    conv = nn.Conv2d(*channels, 3, padding=1, bias=bias).double()
    x = torch.randn(2, channels[0], *(scale * side for side in size), dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last if last else torch.contiguous_format).requires_grad_()
    ours = with_gradients(function, conv, x)
    with written_out():
        theirs = with_gradients(function, conv, x)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(2, 2, 1),
        nn.Conv2d(2, 2, 5, padding=2),
        nn.Conv2d(2, 2, 3, padding=2, dilation=2),
        nn.Conv2d(2, 2, 3, padding=1, groups=2),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(2, 2, 3, padding=1, stride=2),
        nn.Conv2d(2, 2, 3),
    ],
    ids=repr,
)
def test_a_convolution_of_another_kind_is_done_as_it_is(other):
    x = torch.randn(1, 2, 8, 8)
    assert torch.equal(conv_upsampled(other, x), other(F.interpolate(x, scale_factor=2.0, mode="nearest")))
    assert torch.equal(conv_pooled(other, x), F.avg_pool2d(other(x), 2))


@pytest.mark.parametrize("shape", [(9, 4, 2, 5), (9, 4, 5, 2), (1024, 512, 3, 4)])
def test_attention_is_its_formula_whatever_the_sizes(shape):
    queries, keys, d, e = shape
    q, k, v = (
        torch.randn(2, 3, n, c, dtype=torch.float64, requires_grad=True)
        for n, c in ((queries, d), (keys, d), (keys, e))
    )
    ours = attend(q, k, v, 0.3)
    with written_out():
        theirs = attend(q, k, v, 0.3)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(*(torch.autograd.grad(out.sin().sum(), (q, k, v)) for out in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other)


def attention_memory(positions):
    """Bytes that attention of so many queries, a quarter as many keys, takes forward and backward."""
    q, k, v = (torch.randn(1, 1, n, 8, requires_grad=True) for n in (positions, positions // 4, positions // 4))
    return rise(lambda: attend(q, k, v, 1.0).sum().backward())


def test_the_memory_of_attention_grows_with_the_positions_and_not_with_their_square():
    few = attention_memory(1024)
    assert FEW_PRODUCTS == 1024 * 256
    assert few < 6 * 4 * FEW_PRODUCTS  # what is written out is bounded, too
    many = [attention_memory(n) for n in (4096, 8192, 16384)]
    for half, whole in itertools.pairwise(many):
        assert whole < 2.2 * half
    with written_out():
        square = [attention_memory(n) for n in (1024, 2048)]
    assert square[1] > 3.5 * square[0]  # which the measure would have told
