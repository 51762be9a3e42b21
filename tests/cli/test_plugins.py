"""Third-party parts: distributions that pip installed, and files given with --plugin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import MODELS, ROOT, SCORED, Outcome, call, run_folder, shell

from ganbench.registry import KINDS
from ganbench.zoo import COMPONENTS

RunOf = Callable[[str], Path]

STEPS_2 = ["--batch", "8", "--budget", "2steps", "--set", "evaluation.every=2steps", "--device", "cpu", *SCORED]
SCALE = '''
from torch import nn

from ganbench.api import Layers, PositiveInt, register


@register("attention", "scale")
class Scale(nn.Module):
    """x times a learnt number a channel."""

    def __init__(self, channels: int, layers: Layers, *, repeats: PositiveInt = 1) -> None:
        super().__init__()
        self.weights = nn.ModuleList(layers.conv(channels, channels, 1) for _ in range(repeats))

    def forward(self, x):
        for weight in self.weights:
            x = x + weight(x)
        return x
'''


def one_line(outcome: Outcome, code: int, *fragments: str) -> None:
    assert outcome.code == code, outcome.err
    for fragment in fragments:
        assert fragment in outcome.complaint


@pytest.fixture
def scale(tmp_path: Path) -> Path:
    """A plug-in file with an attention block."""
    path = tmp_path / "scale-it.py"
    path.write_text(SCALE)
    return path


def test_an_installed_attention_variant_is_trained(installed: RunOf, tmp_path: Path) -> None:
    chosen = ["--attention", "cbam", "--set", "attention.reduction=4"]
    trained = shell(
        *("run", "--model", "sagan", "--width", "8", "--results", tmp_path, "--json", *chosen, *STEPS_2),
        path=installed("ganbench-cbam"),
    )
    assert trained.code == 0, trained.err
    assert trained.json["status"] == "finished"
    spec = json.loads((run_folder(tmp_path) / "spec.json").read_text())
    assert spec["attention"] == {"name": "cbam", "provider": "ganbench-cbam 1.2.0", "options": {"reduction": 4}}
    environment = json.loads((run_folder(tmp_path) / "env.json").read_text())
    assert environment["components"]["attention"] == {
        "name": "cbam",
        "provider": "ganbench-cbam",
        "version": "1.2.0",
        "target": "ganbench_cbam:CBAM",
    }
    # Without the plug-in the table is there all the same, and the run is not mistaken for another.
    assert len(call("table", "--results", tmp_path, "--json").json["rows"]) == 1
    one_line(call("run", "--model", "sagan", *chosen), 2, "unknown attention 'cbam'")


@pytest.fixture
def plugged(installed: RunOf, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make an installed distribution importable in this process."""
    return lambda name: monkeypatch.syspath_prepend(str(installed(name)))


def test_its_options_are_checked(plugged: Callable[[str], None]) -> None:
    plugged("ganbench-cbam")
    chosen = ["show", "--model", "sagan", "--attention", "cbam"]
    one_line(
        call(*chosen, "--set", "attention.redcution=4"), 2, "'attention.redcution'", "did you mean attention.reduction"
    )
    one_line(call(*chosen, "--set", "attention.reduction=0"), 2, "attention.reduction", "greater than 0")
    one_line(call(*chosen, "--set", "attention.reduction=half"), 2, "attention.reduction", "integer", "half")
    shown = call(*chosen, "--json").json
    assert shown["spec"]["attention"]["options"] == {"reduction": 8}
    assert shown["providers"]["attention"]["target"] == "ganbench_cbam:CBAM"
    sizes = [
        call(*chosen, "--json", "--set", f"attention.reduction={n}").json["parameters"]["generator"] for n in (2, 8)
    ]
    assert sizes[0] > sizes[1]
    assert "attention comes from ganbench-cbam 1.2.0 (ganbench_cbam:CBAM)" in call(*chosen).out


def test_it_goes_into_every_architecture_and_stands_in_the_list(plugged: Callable[[str], None]) -> None:
    plugged("ganbench-cbam")
    for model in MODELS:
        bare = call("show", "--model", model, "--attention", "none", "--json").json["parameters"]
        with_block = call("show", "--model", model, "--attention", "cbam", "--attention-at", "16", "--json").json
        assert with_block["parameters"]["generator"] > bare["generator"]
        assert with_block["parameters"]["discriminator"] > bare["discriminator"]
    (row,) = [row for row in call("list", "attention", "--json").json if row["name"] == "cbam"]
    assert (row["provider"], row["status"], row["about"]) == ("ganbench-cbam 1.2.0", "ok", "ganbench_cbam:CBAM")


def test_a_broken_plug_in_fails_alone(installed: RunOf, plugged: Callable[[str], None], tmp_path: Path) -> None:
    plugged("ganbench-broken")
    assert call("show", "--model", "sagan", "--json").code == 0
    rows = {row["name"]: row for row in call("list", "attention", "--json").json}
    assert rows["broken"]["status"].startswith("broken: attention 'broken' of ganbench-broken 0.1.0")
    assert rows["self"]["status"] == "ok"
    listed = call("list")
    assert listed.code == 0
    assert "broken:" in listed.out
    used = call("run", "--model", "sagan", "--attention", "broken", "--results", tmp_path / "results")
    one_line(used, 3, "ganbench-broken 0.1.0", "a_module_that_nobody_has", "mend or uninstall", "ganbench doctor")
    assert not (tmp_path / "results").exists()
    checked = shell("doctor", path=installed("ganbench-broken"))
    assert checked.code == 3
    assert "Traceback (most recent call last)" in checked.out
    assert "ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in checked.out
    assert "1 broken" in checked.out.splitlines()[-1]


def test_doctor_finds_nothing_wrong_with_the_built_ins() -> None:
    checked = call("doctor", "--json")
    assert checked.code == 0
    assert checked.json["broken"] == []
    assert checked.json["components"] == sum(len(names) for names in COMPONENTS.values())
    assert "not installed" not in checked.json["packages"].values()
    lines = call("doctor").out.splitlines()
    assert lines[-1] == f"{checked.json['components']} components, 0 broken"
    assert any(line.startswith("torch ") for line in lines)


def test_two_providers_of_one_name(plugged: Callable[[str], None]) -> None:
    plugged("ganbench-claims")
    claimed = call("show", "--model", "sagan")
    one_line(claimed, 2, "attention 'self' is provided by ganbench and ganbench-claims 3.0.0")
    assert "pick one with ganbench:self or ganbench-claims:self" in claimed.complaint
    assert call("show", "--model", "dcgan").code == 0
    assert [row["name"] for row in call("list", "attention", "--json").json].count("self") == 2
    theirs = call("show", "--model", "sagan", "--attention", "ganbench-claims:self", "--json").json
    assert theirs["spec"]["attention"] == {"name": "self", "provider": "ganbench-claims 3.0.0", "options": {}}
    ours = call("run", "--model", "sagan", "--attention", "ganbench:self", "--dry-run", "--json").json
    assert ours["spec"]["attention"]["provider"] == "ganbench"
    assert ours["run_id"] != theirs["run_id"]


def test_picking_the_built_in_is_the_same_run_as_naming_it(plugged: Callable[[str], None]) -> None:
    alone = call("run", "--model", "sagan", "--dry-run", "--json").json
    plugged("ganbench-claims")
    picked = call("run", "--model", "sagan", "--attention", "ganbench:self", "--dry-run", "--json").json
    assert picked["run_id"] == alone["run_id"]


def test_a_plug_in_file_is_trained_and_is_part_of_the_identity(scale: Path, tmp_path: Path) -> None:
    chosen = ["--plugin", scale, "--attention", "scale", "--set", "attention.repeats=2", "--width", "4"]
    results = tmp_path / "results"
    trained = call("run", "--model", "sagan", "--results", results, "--json", *chosen, *STEPS_2)
    assert trained.code == 0, trained.err
    sha256 = hashlib.sha256(scale.read_bytes()).hexdigest()
    spec = json.loads((run_folder(results) / "spec.json").read_text())
    assert spec["attention"]["provider"] == f"file:scale-it.py {sha256}"
    environment = json.loads((run_folder(results) / "env.json").read_text())
    assert environment["components"]["attention"]["version"] == sha256
    assert environment["components"]["attention"]["target"] == "scale-it.py:Scale"
    scale.write_text(SCALE + "# changed\n")
    changed = call("run", "--model", "sagan", *chosen, *STEPS_2, "--dry-run", "--json").json
    assert changed["run_id"] != trained.json["run_id"]
    one_line(call("show", "--model", "sagan", "--attention", "scale"), 2, "unknown attention 'scale'")
    rows = call("list", "attention", "--plugin", scale, "--json").json
    assert [row["status"] for row in rows if row["name"] == "scale"] == ["ok"]
    assert call("doctor", "--plugin", scale).code == 0


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("x = 1\ny = 1 / 0\n", ["line 2", "raised ZeroDivisionError"]),
        ("def f(:\n", ["line 1", "raised SyntaxError"]),
        ("import a_module_that_nobody_has\n", ["line 1", "a_module_that_nobody_has"]),
        ("\n\ndef f():\n    raise ValueError('two\\nlines')\nf()\n", ["line 4", "raised ValueError: two lines"]),
        ("import ganbench.api\n", ["registers nothing", "@ganbench.api.register(KIND, NAME)"]),
        ("", ["registers nothing"]),
        ("from ganbench.api import register\n\n@register('atention', 'x')\nclass X: ...\n", ["line 3", "attention"]),
    ],
)
def test_a_plug_in_file_that_fails(text: str, fragments: list[str], tmp_path: Path) -> None:
    plugin = tmp_path / "bad.py"
    plugin.write_text(text)
    refused = call("run", "--model", "sagan", "--plugin", plugin, "--results", tmp_path / "results")
    one_line(refused, 3, f"plug-in file {plugin}", *fragments)
    assert not (tmp_path / "results").exists()
    one_line(call("list", "--plugin", plugin), 3, str(plugin))


def test_a_plug_in_file_that_is_not_there(tmp_path: Path) -> None:
    one_line(call("show", "--model", "sagan", "--plugin", tmp_path / "no.py"), 3, str(tmp_path / "no.py"), "No such")
    one_line(call("show", "--model", "sagan", "--plugin", tmp_path), 3, str(tmp_path))
    (tmp_path / "plugin.txt").write_text(SCALE)
    one_line(call("show", "--model", "sagan", "--plugin", tmp_path / "plugin.txt"), 3, ".py")


def test_an_option_without_annotation_is_refused(tmp_path: Path) -> None:
    plugin = tmp_path / "bare.py"
    plugin.write_text(SCALE.replace("repeats: PositiveInt = 1", "repeats=1"))
    refused = call("show", "--model", "sagan", "--attention", "scale", "--plugin", plugin)
    assert refused.code in (1, 3)
    assert "option 'repeats' of Scale has no annotation" in refused.complaint


def test_a_plug_in_that_fails_while_training(tmp_path: Path) -> None:
    plugin = tmp_path / "late.py"
    plugin.write_text(SCALE.replace("x = x + weight(x)", "raise RuntimeError('no\\n forward')"))
    results = tmp_path / "results"
    failed = call("run", "--model", "sagan", "--attention", "scale", "--plugin", plugin, "--results", results, *STEPS_2)
    assert failed.code == 1
    assert failed.err.splitlines()[-1].startswith("ganbench: RuntimeError: no forward")
    assert "in forward" in json.loads((run_folder(results) / "failure.json").read_text())["traceback"]


def test_listing_imports_no_built_in() -> None:
    rows = call("list", "--json").json
    recipes = sorted(path.stem for path in (ROOT / "registry" / "recipes").glob("*.toml"))
    assert [row["name"] for row in rows if row["kind"] == "model"] == recipes
    assert {row["kind"] for row in rows} == {"model", "suite", "paper", *KINDS}
    assert all(row["about"] for row in rows)
    assert call("list", "loss", "--json").json == [row for row in rows if row["kind"] == "loss"]
    listed = [line.split()[1] for line in call("list", "model").out.splitlines() if line.lstrip().startswith("model ")]
    assert listed == recipes
