"""Dot-product attention by a fused kernel, or written out where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch.nn.functional as F
from torch import Tensor

_written_out: ContextVar[bool] = ContextVar("written_out", default=False)


@contextmanager
def written_out() -> Iterator[None]:
    """Inside the block :func:`attend` uses plain operations: they have a second derivative, which no fused
    kernel has, and hold the whole matrix of queries by keys.
    """
    token = _written_out.set(True)
    try:
        yield
    finally:
        _written_out.reset(token)


def attend(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """softmax(scale * Q K') V: [B, heads, N, d], [B, heads, M, d], [B, heads, M, e] -> [B, heads, N, e].

    Fused wherever there is a kernel for it, so that memory grows with N + M and not with N * M.
    """
    if _written_out.get():
        return (scale * (queries @ keys.mT)).softmax(-1) @ values
    d, e = queries.shape[-1], values.shape[-1]
    # The fused kernels want one head dimension for all three; zeros add nothing to a product.
    if d < e:
        queries, keys = F.pad(queries, (0, e - d)), F.pad(keys, (0, e - d))
    elif e < d:
        values = F.pad(values, (0, d - e))
    return F.scaled_dot_product_attention(queries, keys, values, scale=scale)[..., :e]
