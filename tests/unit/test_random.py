"""Draws depend on (seed, stream, step) and on nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganbench.random import derive, generator, isolated

SEEDS = st.integers(0, 2**63 - 1)
STREAMS = st.text(max_size=10)


@given(seed=SEEDS, stream=STREAMS, step=st.integers(0, 10**9), disturbance=st.integers(0, 99))
def test_a_stream_is_independent_of_global_state(seed: int, stream: str, step: int, disturbance: int) -> None:
    first = torch.randn(4, generator=generator(seed, stream, step))
    torch.manual_seed(disturbance)
    torch.rand(disturbance + 1)
    state = torch.get_rng_state()
    assert torch.equal(torch.randn(4, generator=generator(seed, stream, step)), first)
    assert torch.equal(torch.get_rng_state(), state)


@given(seed=SEEDS, stream=STREAMS, step=st.integers(0, 10**9))
def test_derived_seeds_fit(seed: int, stream: str, step: int) -> None:
    assert 0 <= derive(seed, stream, step) < 2**63


def test_streams_steps_and_seeds_are_told_apart() -> None:
    keys = [(seed, stream, step) for seed in range(10) for stream in ("z-d", "z-g", "epoch", "") for step in range(25)]
    assert len({derive(*key) for key in keys}) == len(keys)
    assert derive(1, "1", 1) != derive(11, "", 1)


def test_derived_seeds_are_the_same_on_every_machine() -> None:
    assert derive(0, "init-generator") == 1761407577047149268
    assert derive(7, "z-d", 12) == 2762750150109713524


@given(seed=SEEDS, used=st.integers(0, 50))
def test_isolated_code_draws_from_its_stream_and_leaves_no_trace(seed: int, used: int) -> None:
    torch.manual_seed(used)
    state = torch.get_rng_state()
    with isolated(seed, "init"):
        first = torch.rand(3)
        torch.rand(used)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(used)
    with isolated(seed, "init"):
        assert torch.equal(torch.rand(3), first)


def test_isolated_code_that_raises_leaves_no_trace_either() -> None:
    def draw_and_raise() -> None:
        with isolated(0, "init"):
            torch.rand(1)
            raise KeyError

    state = torch.get_rng_state()
    with pytest.raises(KeyError):
        draw_and_raise()
    assert torch.equal(torch.get_rng_state(), state)
