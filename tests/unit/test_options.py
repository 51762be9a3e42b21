"""Assignments as they are typed, and a component's options as its signature declares them."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from ganbench.errors import UsageError
from ganbench.options import (
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    option_model,
    parse_assignment,
    resolve_options,
    typed_options,
)

KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)


class Side(StrEnum):
    LEFT = "left"
    RIGHT = "right"


class Part:
    """A component with an option of every sort."""

    def __init__(
        self,
        channels: int,
        layers: object = None,
        *,
        count: PositiveInt = 3,
        rate: PositiveFloat = 0.5,
        weight: NonNegativeFloat = 0.0,
        share: Fraction = 1.0,
        on: bool = False,
        side: Side = Side.LEFT,
        kind: Literal["a", "b"] = "a",
        sizes: tuple[int, ...] = (1, 2),
        limit: Annotated[int, Field(lt=10)] | None = None,
    ) -> None:
        self.side, self.sizes = side, sizes


@given(path=st.lists(KEYS, min_size=1, max_size=4), value=st.one_of(SCALARS, st.lists(st.integers(-9, 9), max_size=4)))
def test_an_assignment_is_read_as_toml(path: list[str], value: object) -> None:
    text = (
        f"{value!r}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    )
    assert parse_assignment(f"{'.'.join(path)}={text}") == (path, value)


@given(path=st.lists(KEYS, min_size=1, max_size=3), word=st.from_regex(r"[a-z][a-z-]{0,9}", fullmatch=True))
def test_a_bare_word_is_a_string(path: list[str], word: str) -> None:
    expected = {"true": True, "false": False, "inf": float("inf")}.get(word, word)
    if word != "nan":
        assert parse_assignment(f"{'.'.join(path)} = {word} ") == (path, expected)


@pytest.mark.parametrize("text", ["12:30:00", "2024-01-31", "2024-01-31T12:30:00"])
def test_a_time_is_a_string(text: str) -> None:
    assert parse_assignment(f"executor.time={text}") == (["executor", "time"], text)


@given(st.text(alphabet="abc.= ", max_size=8))
def test_any_other_text_is_refused_or_read(text: str) -> None:
    key, separator, _ = text.partition("=")
    if separator and all(part.strip() for part in key.split(".")):
        assert parse_assignment(text)[0] == [part.strip() for part in key.split(".")]
    else:
        with pytest.raises(UsageError, match="--set takes KEY=VALUE"):
            parse_assignment(text)


def test_only_keyword_only_parameters_are_options() -> None:
    names = ["count", "rate", "weight", "share", "on", "side", "kind", "sizes", "limit"]
    assert list(option_model(Part).model_fields) == names


def test_defaults_fill_in_what_is_not_given() -> None:
    resolved = resolve_options(Part, {"count": 7, "side": "right"}, "part")
    assert resolved == {
        "count": 7,
        "rate": 0.5,
        "weight": 0.0,
        "share": 1.0,
        "on": False,
        "side": "right",
        "kind": "a",
        "sizes": [1, 2],
        "limit": None,
    }
    assert json.loads(json.dumps(resolved)) == resolved
    typed = typed_options(Part, resolved)
    assert typed["side"] is Side.RIGHT
    assert typed["sizes"] == (1, 2)
    assert resolve_options(Part, resolved, "part") == resolved


@pytest.mark.parametrize(
    ("given_options", "fragment"),
    [
        ({"count": 0}, "part.count: input should be greater than 0 (it is 0)"),
        ({"count": 1.5}, "part.count: "),
        ({"count": "3"}, "part.count: "),
        ({"count": True}, "part.count: "),
        ({"rate": -1}, "part.rate: input should be greater than 0"),
        ({"weight": -0.1}, "part.weight: input should be greater than or equal to 0"),
        ({"share": 1.1}, "part.share: input should be less than or equal to 1"),
        ({"on": 1}, "part.on: "),
        ({"side": "top"}, "part.side: input should be 'left' or 'right'"),
        ({"kind": "c"}, "part.kind: input should be 'a' or 'b'"),
        ({"sizes": ["x"]}, "part.sizes.0: "),
        ({"limit": 10}, "part.limit: input should be less than 10"),
        ({"cuont": 4}, "unknown option 'part.cuont': did you mean part.count"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(given_options: dict[str, object], fragment: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve_options(Part, given_options, "part")
    assert fragment in str(refused.value)


def test_a_whole_number_serves_as_a_fraction() -> None:
    assert resolve_options(Part, {"rate": 2}, "part")["rate"] == 2.0


def test_an_option_without_default_must_be_given() -> None:
    def component(channels: int, *, depth: int) -> int:
        return depth

    with pytest.raises(UsageError, match=r"part.depth is not given: set it with --set part.depth=VALUE"):
        resolve_options(component, {}, "part")
    assert resolve_options(component, {"depth": 3}, "part") == {"depth": 3}


def test_a_component_without_options_takes_none() -> None:
    with pytest.raises(UsageError, match="part takes no options, not 'x'"):
        resolve_options(lambda: None, {"x": 1}, "part")
