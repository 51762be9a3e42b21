"""The moving average in closed form; buffers are copied."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ganbench.ema import EMA
from ganbench.spec import EMASpec


def network(value: float) -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return fill(net, value)


def fill(net: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        for tensor in (*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())):
            tensor.fill_(value)
    net[1].num_batches_tracked.fill_(int(value * 10))  # type: ignore[index]
    return net


@given(
    decay=st.floats(0, 0.9999),
    start=st.integers(0, 4),
    values=st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=6),
)
def test_closed_form(decay: float, start: int, values: list[float]) -> None:
    net = network(1.0)
    ema = EMA(net, EMASpec(decay=decay, start=start))
    expected = 1.0
    for step, value in enumerate(values, start=1):
        fill(net, value)
        ema.update(step)
        expected = value if step <= start else decay * expected + (1 - decay) * value
    for parameter in ema.module.parameters():
        assert parameter.flatten().tolist() == pytest.approx([expected] * parameter.numel(), abs=1e-5)


def test_buffers_are_copied_not_averaged() -> None:
    net = network(1.0)
    ema = EMA(net, EMASpec(decay=0.9))
    fill(net, 0.25)
    ema.update(1)
    for mine, theirs in zip(ema.module.buffers(), net.buffers(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine is not theirs
    assert ema.module[1].num_batches_tracked.item() == 2
    assert next(ema.module.parameters())[0, 0].item() == pytest.approx(0.925)


def test_the_average_is_apart_from_the_network() -> None:
    net = network(1.0)
    ema = EMA(net, EMASpec(decay=0.9))
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())
    fill(net, 5.0)
    assert next(ema.module.parameters())[0, 0].item() == 1.0
    ema.update(1)
    assert next(net.parameters())[0, 0].item() == 5.0
