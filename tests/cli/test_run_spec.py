"""``ganbench run --spec``: a stored spec is the whole run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import TOY_PLUGIN, assert_same_run, call, run_folder

RunOf = Callable[[str], Path]


def test_a_stored_spec_gives_the_same_run(undisturbed: RunOf, tmp_path: Path) -> None:
    spec = run_folder(undisturbed("sagan")) / "spec.json"
    again = call("run", "--spec", spec, "--results", tmp_path, "--device", "cpu", "--plugin", TOY_PLUGIN, "--json")
    assert again.code == 0
    assert again.json["run_id"] == json.loads((run_folder(undisturbed("sagan")) / "result.json").read_text())["run_id"]
    assert_same_run(tmp_path, undisturbed("sagan"))
    shown = call("show", "--spec", spec, "--plugin", TOY_PLUGIN, "--json").json
    assert shown["run_id"] == again.json["run_id"]


@pytest.fixture
def spec(undisturbed: RunOf, tmp_path: Path) -> Path:
    """A copy of a stored spec, to be spoilt."""
    return Path(shutil.copy(run_folder(undisturbed("dcgan")) / "spec.json", tmp_path / "spec.json"))


def refused(spec: Path, code: int, *arguments: str) -> str:
    outcome = call("run", "--spec", spec, "--results", spec.parent / "results", *arguments)
    assert outcome.code == code, outcome.err
    assert not (spec.parent / "results").exists()
    return outcome.complaint


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "dcgan"],
        ["--seed", "0"],
        ["--set", "n_dis=1"],
        ["--loss", "hinge"],
        ["--sn-g"],
        ["--attention-at", "8"],
        ["--budget", "1kimg"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_changes_a_stored_spec(arguments: list[str], spec: Path) -> None:
    told = refused(spec, 2, "--plugin", str(TOY_PLUGIN), *arguments)
    assert f"--spec holds the whole run: leave out {arguments[0]}" in told


def test_a_plug_in_that_is_not_given_is_told(spec: Path) -> None:
    assert "add --plugin toy.py" in refused(spec, 3)


def change(spec: Path, key: str, value: object) -> None:
    content = json.loads(spec.read_text())
    table = content
    *parents, last = key.split(".")
    for parent in parents:
        table = table[parent]
    table[last] = value
    spec.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("key", "value", "code", "told"),
    [
        ("dataset.fingerprint", "0" * 64, 3, "few-digits is not the one that this spec was made with"),
        ("algo_version", 1, 2, "is of algo_version 1, and this version of ganbench computes"),
        ("loss.name", "hinj", 2, "unknown loss"),
        ("batch", 0, 1, "is not a spec of this version of ganbench (batch:"),
        ("future", 1, 1, "is not a spec of this version of ganbench (future:"),
    ],
)
def test_a_spec_that_cannot_be_run_is_told(key: str, value: object, code: int, told: str, spec: Path) -> None:
    change(spec, key, value)
    assert told in refused(spec, code, "--plugin", str(TOY_PLUGIN))


def test_a_file_that_is_no_spec(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.json", 2)
    (tmp_path / "torn.json").write_text('{"model"')
    assert str(tmp_path / "torn.json") in refused(tmp_path / "torn.json", 1)


def test_one_of_model_and_spec_is_needed() -> None:
    assert "Missing option '--model'" in call("run").complaint
