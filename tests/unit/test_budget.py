"""Amounts of a counter: as they are typed, shown and spent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ganbench.budget import UNITS, Amount, Counters

POSITIVE = st.floats(min_value=1e-9, max_value=1e15, allow_nan=False)


@given(number=POSITIVE, unit=st.sampled_from(sorted(UNITS)))
def test_what_is_shown_can_be_typed_again(number: float, unit: str) -> None:
    amount = Amount.model_validate(f"{number!r}{unit}")
    again = Amount.model_validate(str(amount))
    assert again.counter == amount.counter == UNITS[unit][0]
    assert again.amount == pytest.approx(amount.amount, rel=1e-15)
    assert amount.amount == pytest.approx(number * UNITS[unit][1], rel=1e-15)


@given(st.integers(1, 10**15))
def test_whole_steps_are_exact(steps: int) -> None:
    assert str(Amount.model_validate(f"{steps}steps")) == f"{steps}steps"


@pytest.mark.parametrize(
    ("typed", "counter", "amount", "shown"),
    [
        ("2000steps", "g_steps", 2000, "2000steps"),
        ("64kimg", "real_images", 64000, "64kimg"),
        ("0.5kimg", "real_images", 500, "0.5kimg"),
        ("2min", "train_seconds", 120, "120s"),
        (" 1.5 h ", "train_seconds", 5400, "5400s"),
        ("5pflop", "flops", 5e15, "5pflop"),
        ("1e3steps", "g_steps", 1000, "1000steps"),
        ("1e-3pflop", "flops", 1e12, "0.001pflop"),
        ("1e+6steps", "g_steps", 1e6, "1000000steps"),
    ],
)
def test_units(typed: str, counter: str, amount: float, shown: str) -> None:
    read = Amount.model_validate(typed)
    assert (read.counter, read.amount, str(read)) == (counter, amount, shown)
    assert Amount.model_validate(read.model_dump()) == read


@pytest.mark.parametrize(
    "typed", ["", "steps", "12", "0steps", "-1steps", "1 parsec", "1e400steps", "nansteps", "1.2.3s", "1kimg2", 3, None]
)
def test_anything_else_is_refused(typed: object) -> None:
    with pytest.raises(ValidationError):
        Amount.model_validate(typed)


@given(done=st.integers(0, 10**6), total=st.integers(1, 10**6))
def test_the_share_that_is_spent(done: int, total: int) -> None:
    counters = Counters(g_steps=done, real_images=7, train_seconds=1.5)
    assert (Amount(counter="g_steps", amount=total).spent(counters) >= 1) == (done >= total)
    assert Amount(counter="real_images", amount=14).spent(counters) == 0.5
    assert Amount(counter="train_seconds", amount=3).spent(counters) == 0.5
    assert Amount(counter="flops", amount=3).spent(counters) == 0
