"""Layers of overrides: merging, and that a changed name drops the options of the old one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench.drafts import COMPONENT_KEYS, merge, nest
from ganbench.errors import UsageError
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import instantiate, resolve

KEYS = st.sampled_from(["a", "b", "batch", "optimizer", "lr"])
DRAFTS = st.recursive(
    st.dictionaries(KEYS, st.integers(0, 3), max_size=3), lambda inner: st.dictionaries(KEYS, inner, max_size=3)
)


@given(one=DRAFTS, two=DRAFTS, three=DRAFTS)
def test_merging_is_associative_and_leaves_its_arguments(one: Any, two: Any, three: Any) -> None:
    before = copy.deepcopy((one, two, three))
    assert merge(merge(one, two), three) == merge(one, merge(two, three)) or has_leaf_and_table(one, two, three)
    assert merge(one, {}) == one
    assert merge({}, one) == one
    assert merge(one, one) == one
    assert (one, two, three) == before


def has_leaf_and_table(*drafts: Any) -> bool:
    """Whether one draft has a value where another has a table: the last one wins, whatever was there."""
    kinds: dict[str, set[bool]] = {}

    def walk(draft: Any, prefix: str) -> None:
        for key, value in draft.items():
            kinds.setdefault(f"{prefix}.{key}", set()).add(isinstance(value, dict))
            if isinstance(value, dict):
                walk(value, f"{prefix}.{key}")

    for draft in drafts:
        walk(draft, "")
    return any(len(found) == 2 for found in kinds.values())


@pytest.mark.parametrize("key", COMPONENT_KEYS)
def test_a_new_name_drops_the_options_of_the_old_one(key: str) -> None:
    path = key.split(".")
    weaker = nest(path, {"name": "old", "width": 3})
    assert merge(weaker, nest(path, "new")) == nest(path, {"name": "new"})
    assert merge(weaker, nest(path, {"name": "new", "depth": 1})) == nest(path, {"name": "new", "depth": 1})
    assert merge(weaker, nest(path, "old")) == weaker
    assert merge(weaker, nest(path, {"depth": 1})) == nest(path, {"name": "old", "width": 3, "depth": 1})
    assert merge(nest(path, "old"), nest(path, {"depth": 1})) == nest(path, {"name": "old", "depth": 1})
    assert merge({}, nest(path, {"depth": 1})) == nest(path, {"depth": 1})


def test_options_typed_before_and_after_the_name_come_to_the_same() -> None:
    options, name = nest(["attention", "reduction"], 4), nest(["attention"], "cbam")
    assert merge(options, name) != merge(name, options)  # a name that changes is a new start
    assert merge(name, options) == {"attention": {"name": "cbam", "reduction": 4}}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


def test_a_changed_component_gets_its_own_defaults(registry: Registry) -> None:
    changed = resolve(registry, RecipeBook(), "sagan", "quick", [{"seed": 0, "generator": {"norm": "batch"}}])
    momentum = changed.spec.generator.norm.options["momentum"]
    published = resolve(registry, RecipeBook(), "sagan", "quick", [{"seed": 0}]).spec.generator.norm
    assert published.options["momentum"] == 0.1
    assert changed.spec.generator.norm.name == "batch"
    assert momentum == registry.find("normalizer", "batch").load().__init__.__kwdefaults__["momentum"]


def test_later_layers_win(registry: Registry) -> None:
    layers = [{"seed": 0, "batch": 8, "optimizer": {"lr_g": 0.5}}, {"batch": 9}]
    spec = resolve(registry, RecipeBook(), "sagan", "quick", layers).spec
    assert (spec.batch, spec.optimizer.lr_g) == (9, 0.5)
    assert spec.optimizer.lr_d == resolve(registry, RecipeBook(), "sagan", "quick", [{"seed": 0}]).spec.optimizer.lr_d


def test_equal_runs_have_equal_specs(registry: Registry) -> None:
    without = [{"seed": 0, "attention": "none"}, {"seed": 0, "attention": "none", "attention_in": "g"}]
    assert len({resolve(registry, RecipeBook(), "sagan", "quick", [o]).spec.run_id for o in without}) == 1


def test_fake_labels_make_no_other_run_where_no_label_is_drawn(registry: Registry) -> None:
    def spec(conditioning: str, **changes: str) -> Any:
        asked = {"seed": 0, "generator": {"norm": "batch"}, "conditioning": conditioning, **changes}
        return resolve(registry, RecipeBook(), "sagan", "quick", [asked]).spec

    assert spec("acgan", fake_labels="empirical").fake_labels == "empirical"
    assert spec("none", fake_labels="empirical").run_id == spec("none").run_id
    with pytest.raises(UsageError, match="fake_labels"):
        spec("none", fake_labels="often")


def test_the_seed_must_be_given(registry: Registry) -> None:
    with pytest.raises(UsageError, match="seed is not given: set it with --set seed=VALUE"):
        resolve(registry, RecipeBook(), "sagan", "quick", [])


def test_a_component_is_built_with_its_options(registry: Registry) -> None:
    resolved = resolve(registry, RecipeBook(), "sagan", "quick", [{"seed": 0, "architecture": {"width": 20}}])
    assert instantiate(resolved.entries["architecture"], resolved.spec.architecture)(32).width == 20
