"""Numbers as they are printed."""

from __future__ import annotations

import math

import pytest

from ganbench.rendering import rounded, si, spread


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (192.66, 4, "192.7"),
        (156.2, 2, "156"),
        (0.022959, 4, "0.02296"),
        (-12345.6, 4, "-12346"),
        (9.0, 4, "9"),
        (3e12, 4, "3e+12"),
        (math.nan, 4, "nan"),
        (math.inf, 4, "inf"),
        (-math.inf, 4, "-inf"),
    ],
)
def test_rounded(value: float, digits: int, text: str) -> None:
    assert rounded(value, digits) == text


def test_spread() -> None:
    assert spread(13.25, 3.437) == "13.25 ± 3.4"
    assert spread(12.5, math.nan) == "12.5"
    assert spread(math.inf, math.nan) == "inf"


def test_counts_in_short() -> None:
    assert [si(value) for value in (750, 17_500, 7.07e12, 2e15, math.nan)] == ["750", "17.5k", "7.07T", "2P", "nan"]
