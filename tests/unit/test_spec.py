"""A run's identity is its content."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ganbench.drafts import nest
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.spec import RunSpec, canonical, flatten, identity

JSON = st.recursive(
    st.one_of(
        st.integers(), st.text(max_size=3), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=4)),
)


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    return resolve(Registry.discover(), RecipeBook(), "sagan", "quick", [{"seed": 3}]).spec


@given(JSON)
def test_canonical_json_is_json_without_an_order(content: object) -> None:
    text = canonical(content)
    assert json.loads(text) == content
    if isinstance(content, dict):
        assert canonical(dict(reversed(content.items()))) == text
    assert identity(content) == identity(json.loads(text))


def test_a_spec_survives_its_file(spec: RunSpec) -> None:
    text = spec.model_dump_json(indent=1)
    again = RunSpec.model_validate_json(text)
    assert again == spec
    assert again.run_id == spec.run_id
    assert spec.directory == f"sagan-{spec.run_id[:12]}"


def test_the_seed_alone_tells_replicates_apart(spec: RunSpec) -> None:
    other = spec.model_copy(update={"seed": 4})
    assert other.run_id != spec.run_id
    assert other.cell_id == spec.cell_id


def test_it_is_frozen_and_strict(spec: RunSpec) -> None:
    with pytest.raises(ValidationError):
        spec.batch = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        RunSpec.model_validate_json(json.dumps({**spec.model_dump(mode="json"), "more": 1}))


@pytest.mark.parametrize(("where", "g", "d"), [("both", (16,), (16,)), ("g", (16,), ()), ("d", (), (16,))])
def test_attention_goes_where_it_is_wanted(where: str, g: tuple[int, ...], d: tuple[int, ...], spec: RunSpec) -> None:
    placed = spec.model_copy(update={"attention_in": where, "attention_at": (16,)})
    assert (placed.attends("g"), placed.attends("d")) == (g, d)


@given(st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), st.integers(), min_size=1)))
def test_flat_keys_are_those_that_set_takes(content: dict[str, dict[str, int]]) -> None:
    rebuilt: dict[str, dict[str, int]] = {}
    for key, value in flatten(content).items():
        nested = nest(key.split("."), value)
        for table, inner in nested.items():
            rebuilt.setdefault(table, {}).update(inner)
    assert rebuilt == content
