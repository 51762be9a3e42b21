"""Several operations as one, with the same result, or written out where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch.nn.functional as F
from torch import Tensor, nn

FEW_PRODUCTS = 2**18
"""Queries times keys of one head and image, up to which the CPU's fused kernel is the slower way."""

_written_out: ContextVar[bool] = ContextVar("written_out", default=False)


@contextmanager
def written_out() -> Iterator[None]:
    """Inside the block this module's functions do one operation after the other.

    Attention so has a second derivative, which no fused kernel has, and holds the matrix of queries by keys.
    """
    token = _written_out.set(True)
    try:
        yield
    finally:
        _written_out.reset(token)


def attend(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """softmax(scale * Q K') V: [B, heads, N, d], [B, heads, M, d], [B, heads, M, e] -> [B, heads, N, e].

    By a fused kernel, so that memory grows with N + M and not with N * M; but on the CPU the products of few
    positions are written out, which bounds them just as well and takes a third of the time.
    """
    few = queries.device.type == "cpu" and queries.shape[-2] * keys.shape[-2] <= FEW_PRODUCTS
    if few or _written_out.get():
        return (scale * (queries @ keys.mT)).softmax(-1) @ values
    d, e = queries.shape[-1], values.shape[-1]
    # The fused kernels want one head dimension for all three; zeros add nothing to a product.
    if d < e:
        queries, keys = F.pad(queries, (0, e - d)), F.pad(keys, (0, e - d))
    elif e < d:
        values = F.pad(values, (0, d - e))
    return F.scaled_dot_product_attention(queries, keys, values, scale=scale)[..., :e]


def conv_upsampled(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv`` of x enlarged twofold by the nearest neighbour: [B, I, H, W] -> [B, O, 2H, 2W].

    Each 2x2 outputs see 2x2 different inputs, so that a 3x3 convolution has 4 distinct products for 9: as one
    transposed 4x4 convolution of stride 2, as in Karras et al. (2018), it is the same but for rounding.
    """
    if _written_out.get() or not _is_same_3x3(conv):
        whole: Tensor = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return whole
    kernel = _spread(conv.weight).flip(2, 3).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)


def conv_pooled(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The 2x2 average pool of ``conv`` of x: [B, I, H, W] -> [B, O, H/2, W/2].

    A 3x3 convolution becomes a 4x4 one of stride 2, with 16 products for 36.
    """
    if _written_out.get() or not _is_same_3x3(conv):
        return F.avg_pool2d(conv(x), 2)
    return F.conv2d(x, _spread(conv.weight) / 4, conv.bias, stride=2, padding=1)


def _is_same_3x3(conv: nn.Conv2d) -> bool:
    """Whether it is a 3x3 convolution that keeps the size, with nothing special about it."""
    settings = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    return settings == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def _spread(weight: Tensor) -> Tensor:
    """[O, I, 3, 3] -> [O, I, 4, 4]: the sum of the kernel and itself shifted by one down, right, and both."""
    rows = F.pad(weight, (0, 0, 0, 1)) + F.pad(weight, (0, 0, 1, 0))
    return F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))
