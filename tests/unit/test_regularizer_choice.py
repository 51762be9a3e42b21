"""Regularizers and augmentation from the recipe and the command line to the run's records."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from harness import assert_same_run, at_step, call, interrupt, run_folder, train

from ganbench.drafts import merge, nest
from ganbench.errors import UsageError
from ganbench.options import parse_assignment
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import Resolved, resolve
from ganbench.spec import flatten

GP = {"name": "gradient-penalty", "weight": 1.0}

PLUGIN = """
from ganbench.api import register

@register("regularizer", "drift")
class Drift:
    default_weight = 0.001

    def __init__(self, *, power: int = 2) -> None:
        self.power = power

    def __call__(self, update):
        return update.real_logits.abs().pow(self.power).mean()
"""


def resolved(*assignments: str, plugins: tuple[Path, ...] = ()) -> Resolved:
    """SNGAN with a loss that suits all penalties but one, and what ``--set`` changes."""
    asked: dict[str, Any] = {"seed": 0, "loss": "nonsaturating"}
    for text in assignments:
        asked = merge(asked, nest(*parse_assignment(text)))
    return resolve(Registry.discover(plugins), RecipeBook(), "sngan", "quick", [asked])


def chosen(*assignments: str, plugins: tuple[Path, ...] = ()) -> Any:
    return resolved(*assignments, plugins=plugins).spec.model_dump(mode="json")["regularizers"]


@pytest.mark.parametrize(
    ("weaker", "stronger", "merged"),
    [
        (["r1"], ["r2"], ["r2"]),
        (["r1", GP], [], []),
        (["r1"], {"r1": {"weight": 3.0}}, [{"name": "r1", "weight": 3.0}]),
        (["r1"], {"r2": {"weight": 3.0}}, [{"name": "r1"}, {"name": "r2", "weight": 3.0}]),
        ([GP], {"gradient-penalty": {"interval": 4}}, [{**GP, "interval": 4}]),
        ("r1", {"r1": {"interval": 4}}, [{"name": "r1", "interval": 4}]),
    ],
)
def test_a_list_replaces_and_a_table_changes(weaker: Any, stronger: Any, merged: Any) -> None:
    assert merge({"regularizers": weaker}, {"regularizers": stronger}) == {"regularizers": merged}


def test_tables_asked_for_one_by_one_still_change_what_the_recipe_has() -> None:
    asked = merge({"regularizers": {"r1": {"weight": 2.0}}}, {"regularizers": {"r1": {"interval": 8}}})
    merged = merge({"regularizers": [GP, {"name": "r1", "weight": 1.0}]}, asked)
    assert merged["regularizers"] == [GP, {"name": "r1", "weight": 2.0, "interval": 8}]


def test_a_table_must_be_one() -> None:
    with pytest.raises(UsageError, match="should be a table"):
        merge({}, {"regularizers": {"r1": 3}})


def test_the_default_is_none() -> None:
    spec = resolved().spec.model_dump(mode="json")
    assert spec["regularizers"] == []
    assert spec["augmentation"] == {"name": "none", "provider": "ganbench", "options": {}}


def test_names_get_the_components_defaults_and_one_order() -> None:
    r1 = {"name": "r1", "provider": "ganbench", "options": {}, "weight": 10.0, "interval": 1}
    lecam = {**r1, "name": "lecam", "options": {"decay": 0.99, "start": 0}, "weight": 0.3}
    found = resolved('regularizers=["r1", "lecam"]')
    assert found.spec.model_dump(mode="json")["regularizers"] == [lecam, r1]
    assert found.spec.run_id == resolved('regularizers=["lecam", "r1"]').spec.run_id
    assert found.entries["regularizers.r1"].target.endswith("r1:R1")
    assert found.warnings == []


def test_the_flag_is_the_list() -> None:
    flags = ("--loss", "nonsaturating", "--regularizer", "r1", "--regularizer", "lecam", "--seed", "0")
    shown = call("show", "--model", "sngan", "--json", *flags, "--set", "regularizers.r1.weight=2")
    assert shown.code == 0, shown.err
    assert shown.json["spec"]["regularizers"] == chosen('regularizers=["lecam", { name = "r1", weight = 2.0 }]')
    assert shown.json["warnings"] == []


def test_weight_interval_and_options_are_set_by_name() -> None:
    by_name = ("regularizers=lecam", "regularizers.lecam.weight=1", "regularizers.lecam.start=9")
    assert chosen(*by_name) == chosen('regularizers=[{ name = "lecam", weight = 1.0, start = 9 }]')
    assert chosen("regularizers.r1.interval=16")[0]["interval"] == 16


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("regularizers=r3", "unknown regularizer 'r3': did you mean"),
        ('regularizers=["r1", "r1"]', "names 'r1' twice"),
        ("regularizers.r1.wieght=2", "regularizers.r1.weight"),
        ("regularizers.lecam.decay=1.0", "regularizers.lecam.decay"),
        ("regularizers.r1.weight=0", "greater than 0"),
        ("regularizers.r1.interval=0", "greater than 0"),
        ("regularizers=3", "should be a list"),
        ("regularizers=[{ weight = 1.0 }]", "needs a name"),
        ("augmentation=diffaugmnt", "did you mean diffaugment"),
        ("classification.real=0.5", "add --conditioning acgan"),
        ("optimizer.weight_decay=-1", "greater than or equal to 0"),
    ],
)
def test_mistakes_get_one_line(assignment: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as refused:
        resolved(assignment)
    assert "\n" not in str(refused.value)


def test_a_doubtful_combination_is_warned_of_recorded_and_run(tmp_path: Path) -> None:
    (tmp_path / "drift.py").write_text(PLUGIN)
    arguments = ("--regularizer", "gradient-penalty", "--regularizer", "drift", "--plugin", tmp_path / "drift.py")
    end = train("dcgan", tmp_path, *arguments, "--budget", "2steps", "--set", "evaluation.every=6steps")
    assert end.code == 0
    warnings = [line for line in end.err.splitlines() if line.startswith("ganbench: warning: gradient-penalty: ")]
    assert len(warnings) == 2
    assert "batch norm" in warnings[0]
    assert "Wasserstein" in warnings[1]
    environment = json.loads((run_folder(tmp_path) / "env.json").read_text())
    assert [f"ganbench: warning: {line}" for line in environment["warnings"]] == warnings
    assert environment["components"]["regularizers.gradient-penalty"]["name"] == "gradient-penalty"
    assert environment["components"]["regularizers.drift"]["provider"] == "file:drift.py"


def test_a_run_with_state_in_a_regularizer_resumes_exactly(tmp_path: Path) -> None:
    arguments = ("--regularizer", "lecam", "--regularizer", "r1", "--set", "regularizers.r1.interval=4")
    arguments = (*arguments, "--augmentation", "diffaugment", "--loss", "relativistic-paired")
    seldom = ("--set", "evaluation.every=6steps")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train("dcgan", whole, *arguments, *seldom).code == 0
    with at_step(2, interrupt):
        assert train("dcgan", stopped, *arguments, *seldom).code == 130
    assert train("dcgan", stopped, *arguments, *seldom).code == 0
    assert_same_run(stopped, whole)


def test_a_regularizer_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "drift.py"
    path.write_text(PLUGIN)
    (item,) = chosen("regularizers=drift", "regularizers.drift.power=4", plugins=(path,))
    assert (item["weight"], item["interval"], item["options"]) == (0.001, 1, {"power": 4})


def test_listed_components_are_flattened_by_name() -> None:
    content = {"regularizers": [{"name": "r1", "weight": 2.0, "options": {"a": 1}}], "attention_at": [16, 8]}
    expected = {"regularizers.r1.weight": 2.0, "regularizers.r1.options.a": 1, "attention_at": [16, 8]}
    assert flatten(content) == expected
