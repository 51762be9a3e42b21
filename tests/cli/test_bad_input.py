"""Bad input: one line with the mend, the right exit code, no traceback, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import TOY, Outcome, call, run_folder, shell, train, tree

RunOf = Callable[[str], Path]
RESULTS = Path("results")

REFUSED: dict[str, tuple[list[str], int, list[str]]] = {
    # what is wrong: arguments after `run`, exit code, what the line must hold
    "no model": ([], 2, ["--model", "ganbench run --help"]),
    "model": (["--model", "sagn"], 2, ["unknown model 'sagn'", "sagan", "ganbench list model"]),
    "model, nothing near": (["--model", "zzz"], 2, ["unknown model 'zzz'", "acgan, biggan, dcgan"]),
    "profile": (["--profile", "quik"], 2, ["unknown profile 'quik'", "quick"]),
    "flag": (["--modle", "sagan"], 2, ["--modle", "--model"]),
    "choice": (["--attention-in", "x"], 2, ["--attention-in", "'g', 'd', 'both'"]),
    "architecture": (["--architecture", "sgan"], 2, ["unknown architecture 'sgan'", "sagan"]),
    "loss": (["--loss", "hing"], 2, ["unknown loss 'hing'", "hinge", "ganbench list loss"]),
    "attention": (["--attention", "slef"], 2, ["unknown attention 'slef'", "self"]),
    "normalizer": (["--norm-g", "bacth"], 2, ["unknown normalizer 'bacth'", "batch"]),
    "normalizer of another role": (["--norm-g", "spectral"], 2, ["generator.norm", "batch", "conditional-batch"]),
    "weight normalizer of another role": (["--set", "generator.weight_norm=batch"], 2, ["weight_norm", "spectral"]),
    "data set": (["--dataset", "digit"], 3, ["unknown dataset 'digit'", "digits"]),
    "extractor": (["--set", "evaluation.extractor=cnn"], 3, ["unknown extractor 'cnn'", "cnn-digits"]),
    "provider": (["--loss", "nobody:hinge"], 2, ["unknown loss 'nobody:hinge'", "ganbench:hinge"]),
    "option of a component": (["--set", "architecture.widht=8"], 2, ["architecture.widht", "architecture.width"]),
    "option of a component without": (["--set", "loss.margin=1"], 2, ["loss takes no options", "margin"]),
    "option of a normalizer": (["--set", "generator.norm.momentun=1"], 2, ["generator.norm.momentum"]),
    "key": (["--set", "bacth=8"], 2, ["unknown option 'bacth'", "batch"]),
    "nested key": (["--set", "optimizer.lr_q=1"], 2, ["'optimizer.lr_q'", "optimizer.lr_d", "optimizer.lr_g"]),
    "nested key of an optional table": (["--set", "ema.decai=0.9"], 2, ["'ema.decai'", "ema.decay"]),
    "key of the evaluation": (["--set", "evaluation.sample=9"], 2, ["evaluation.samples"]),
    "too deep": (["--set", "batch.size=8"], 2, ["batch"]),
    "table as a value": (["--set", "generator=3"], 2, ["generator", "--set generator."]),
    "evaluation as a value": (["--set", "evaluation=3"], 2, ["evaluation", "--set evaluation."]),
    "optimizer as a value": (["--set", "optimizer=adam"], 2, ["optimizer"]),
    "component as a number": (["--set", "loss=3"], 2, ["loss should name a component", "--set loss=NAME"]),
    "no =": (["--set", "batch"], 2, ["KEY=VALUE", "'batch'"]),
    "no key": (["--set", "=8"], 2, ["KEY=VALUE", "'=8'"]),
    "half a key": (["--set", "optimizer.=8"], 2, ["KEY=VALUE"]),
    "word for a number": (["--set", "batch=many"], 2, ["batch", "integer", "many"]),
    "fraction for a count": (["--set", "batch=1.5"], 2, ["batch", "integer", "1.5"]),
    "text for a number": (["--set", 'optimizer.lr_g="1e-4"'], 2, ["optimizer.lr_g", "number"]),
    "flag's type": (["--batch", "many"], 2, ["--batch", "many"]),
    "negative lr": (["--set", "optimizer.lr_g=-1e-4"], 2, ["optimizer.lr_g", "greater than 0", "-0.0001"]),
    "zero lr": (["--set", "optimizer.lr_d=0.0"], 2, ["optimizer.lr_d", "greater than 0"]),
    "infinite lr": (["--set", "optimizer.lr_d=inf"], 2, ["optimizer.lr_d"]),
    "lr that is none": (["--set", "optimizer.lr_d=nan"], 2, ["optimizer.lr_d"]),
    "beta": (["--set", "optimizer.beta1=1.0"], 2, ["optimizer.beta1", "less than 1"]),
    "0 steps": (["--budget", "0steps"], 2, ["budget", "greater than 0"]),
    "budget without unit": (["--budget", "2000"], 2, ["budget", "2000steps"]),
    "budget's unit": (["--budget", "5parsecs"], 2, ["budget", "kimg", "pflop"]),
    "budget's number": (["--budget", "1.2.3steps"], 2, ["budget", "1.2.3"]),
    "negative budget": (["--budget=-5steps"], 2, ["budget", "2000steps"]),
    "empty budget": (["--budget", ""], 2, ["budget", "2000steps"]),
    "interval": (["--set", "evaluation.every=often"], 2, ["evaluation.every", "2000steps"]),
    "batch 0": (["--batch", "0"], 2, ["batch", "greater than 0"]),
    "batch above the data set": (["--batch", "41"], 2, ["batch 41", "40 training images", "few-digits"]),
    "n_dis 0": (["--n-dis", "0"], 2, ["n_dis", "greater than 0"]),
    "width 0": (["--width", "0"], 2, ["architecture.width", "greater than 0"]),
    "negative width": (["--width", "-4"], 2, ["architecture.width", "greater than 0"]),
    "latent 0": (["--latent-dim", "0"], 2, ["latent_dim", "greater than 0"]),
    "negative seed": (["--seed", "-1"], 2, ["--seed"]),
    "negative seed by key": (["--set", "seed=-1"], 2, ["seed", "greater than or equal to 0"]),
    "huge seed": (["--seed", str(2**63)], 2, ["seed", "less than"]),
    "resolution of the architecture": (["--resolution", "48"], 2, ["resolution 48", "32, 64, 128"]),
    "resolution 0": (["--resolution", "0"], 2, ["resolution"]),
    "resolution of the extractor": (
        ["--resolution", "64", "--set", "evaluation.extractor=cnn-digits"],
        2,
        ["cnn-digits", "32 px", "64"],
    ),
    "attention map": (["--attention-at", "12"], 2, ["feature map 12", "8, 16, 32", "--attention-at"]),
    "attention map of D": (["--attention-at", "4", "--attention-in", "d"], 2, ["discriminator", "feature map 4"]),
    "attention without a place": (["--set", "attention_at=[]"], 2, ["--attention-at"]),
    "place without attention": (["--attention", "none", "--attention-at", "8"], 2, ["--attention-at", "--attention"]),
    "conditioning": (["--conditioning", "labels"], 2, ["conditioning", "projection"]),
    "classes are missing": (["--num-classes", "0"], 2, ["conditioning 'projection'", "--num-classes"]),
    "classes of the data": (["--num-classes", "5"], 2, ["few-digits has 10 classes", "--num-classes 10"]),
    "conditional norm without classes": (
        ["--conditioning", "none", "--norm-g", "conditional-batch"],
        2,
        ["conditional batch norm", "--norm-g batch"],
    ),
    "too few samples": (["--set", "evaluation.samples=8"], 2, ["8", "kid_subset_size"]),
    "reference too small": (["--set", "evaluation.samples=64", "--set", "evaluation.kid_subset_size=50"], 2, ["40"]),
    "fakes reused": (["--set", "reuse_fakes=true", "--set", "batch_g_factor=2"], 2, ["reuse_fakes", "batch_g_factor"]),
    "precision": (["--precision", "fp8"], 2, ["--precision", "bf16"]),
    "device": (["--device", "tpu9"], 2, ["--device tpu9", "cpu"]),
    "device that is none": (["--device", "meta"], 2, ["--device meta", "cpu"]),
    "gpu that is not there": (["--device", "cuda:99"], 2, ["--device cuda:99", "cpu"]),
    "registry that is none": (["--registry", "nowhere"], 2, ["nowhere", "not a folder"]),
}


def complaint(outcome: Outcome, code: int, *fragments: str | Path) -> None:
    assert outcome.code == code, outcome
    for fragment in fragments:
        assert str(fragment) in outcome.complaint


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    arguments, code, fragments = REFUSED[what]
    model = [] if what in ("no model", "model", "model, nothing near") else ["--model", "sagan"]
    complaint(call("run", *model, "--results", RESULTS, *TOY, *arguments), code, *fragments)
    assert not RESULTS.exists()


def test_refused_in_a_process_of_its_own() -> None:
    complaint(shell("run", "--model", "sagn", "--results", RESULTS), 2, "unknown model 'sagn': did you mean sagan")


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(Exception, match="unknown model 'sagn'"):
        call("--debug", "run", "--model", "sagn")


@pytest.mark.parametrize("command", ["run", "show"])
@pytest.mark.parametrize(
    ("text", "line"), [("latent_dim = ", 1), ("a = 1\nb = [1,\n", 2), ('description = "x\n', 1), ("a = 1\na = 2\n", 2)]
)
def test_malformed_toml_is_told_with_file_and_line(command: str, text: str, line: int, tmp_path: Path) -> None:
    recipe = tmp_path / "more" / "recipes" / "mine.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(text)
    refused = call(command, "--model", "mine", "--registry", tmp_path / "more")
    complaint(refused, 2, recipe, f"line {line}")


def test_a_recipe_that_is_no_text(tmp_path: Path) -> None:
    recipe = tmp_path / "recipes" / "mine.toml"
    recipe.parent.mkdir()
    recipe.write_bytes(b"a = 1\n\xff")
    complaint(call("show", "--model", "mine", "--registry", tmp_path), 2, recipe, "UTF-8", "6")


@pytest.mark.parametrize("text", ["profiles = 3\n", "[profiles]\nquick = 3\n", "loss = 3\n[profiles.quick]\n"])
def test_a_recipe_of_the_wrong_shape(text: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipes" / "mine.toml"
    recipe.parent.mkdir()
    recipe.write_text(text)
    complaint(call("show", "--model", "mine", "--registry", tmp_path), 2)


def test_a_recipe_in_two_registries_is_told_with_both(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "sagan.toml").write_text('description = "another"\n')
    refused = call("show", "--model", "sngan", "--registry", tmp_path)
    complaint(refused, 2, "recipe 'sagan'", tmp_path / "recipes" / "sagan.toml", "registry/recipes/sagan.toml")


def test_a_recipe_of_a_further_registry_is_used(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    text = (Path(__file__).parents[2] / "registry" / "recipes" / "sagan.toml").read_text()
    (tmp_path / "recipes" / "mine.toml").write_text(text.replace("latent_dim = 128", "latent_dim = 20"))
    shown = call("show", "--model", "mine", "--registry", tmp_path, "--json").json
    assert (shown["spec"]["model"], shown["spec"]["latent_dim"]) == ("mine", 20)
    models = call("list", "model", "--registry", tmp_path, "--json").json
    names = [row["name"] for row in models]
    assert {"dcgan", "mine", "sagan", "sngan"} <= set(names)
    assert names == sorted(names)


def test_results_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    complaint_of = train("dcgan", tmp_path / "file" / "results")
    assert complaint_of.code == 1
    assert complaint_of.err.splitlines()[-1].startswith("ganbench: results folder ")
    assert "--results" in complaint_of.err
    assert (tmp_path / "file").read_text() == "mine"


def test_results_that_are_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    complaint(call("run", "--model", "dcgan", *TOY, "--results", tmp_path / "file"), 2, "--results", "file")
    complaint(call("table", "--results", tmp_path / "file"), 2, "--results", "file")


@pytest.fixture
def copied(undisturbed: RunOf, tmp_path: Path) -> Path:
    """A results folder with one finished run."""
    shutil.copytree(undisturbed("dcgan"), tmp_path / "copied")
    return tmp_path / "copied"


def spec_of_another_run(folder: Path) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**spec, "seed": 7}))


def torn_spec(folder: Path) -> None:
    (folder / "spec.json").write_text('{"seed": ')


def result_of_another_run(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "run_id": "0" * 64}))


def result_of_something_else(folder: Path) -> None:
    (folder / "result.json").write_text("[1, 2]")


def torn_result(folder: Path) -> None:
    (folder / "result.json").write_text('{"schema": ')


@pytest.mark.parametrize(
    "spoil", [spec_of_another_run, torn_spec, result_of_another_run, result_of_something_else, torn_result]
)
def test_a_run_folder_with_something_else_in_it(spoil: Callable[[Path], None], copied: Path) -> None:
    spoil(run_folder(copied))
    before = tree(copied)
    refused = train("dcgan", copied)
    complaint(refused, 1, run_folder(copied), "away")
    assert tree(copied) == before


def test_a_file_where_the_run_should_go(copied: Path) -> None:
    folder = run_folder(copied)
    shutil.rmtree(folder)
    folder.write_text("mine")
    refused = train("dcgan", copied)
    assert refused.code == 1
    assert refused.err.splitlines()[-1].startswith(f"ganbench: results folder {folder} cannot be made")
    assert folder.read_text() == "mine"


def test_foreign_things_in_results_hinder_nothing(copied: Path) -> None:
    runs = copied / "runs"
    (runs / "notes.txt").write_text("mine")
    (runs / "empty").mkdir()
    (runs / "other").mkdir()
    (runs / "other" / "spec.json").write_text('{"name": "not ours"}')
    before = tree(copied)
    assert train("dcgan", copied).code == 0
    shown = call("table", "--results", copied)
    assert shown.code == 0
    for name in ("notes.txt", "empty", "other"):
        assert f"not a run, left out: {runs / name}" in shown.out
    assert len(call("table", "--results", copied, "--json").json["rows"]) == 1
    assert tree(copied) == before


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["list", "los"], ["unknown kind 'los'", "loss"]),
        (["list", "loss", "more"], ["more"]),
        (["table", "--metric", "fcdd"], ["unknown metric 'fcdd'", "fcd"]),
        (["table", "--format", "xml"], ["--format", "latex"]),
        (["show", "--model", "sagn"], ["unknown model 'sagn'", "sagan"]),
        (["doctor", "--helpp"], ["--helpp"]),
    ],
)
def test_other_commands_refuse_alike(arguments: list[str], fragments: list[str]) -> None:
    complaint(call(*arguments), 2, *fragments)


def test_an_error_while_training_is_recorded_and_made_good(
    undisturbed: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the disk\n is on fire")

    with monkeypatch.context() as patch:
        patch.setattr("ganbench.train_step.Trainer.generator_step", broken)
        failed = train("dcgan", tmp_path)
    assert failed.code == 1
    last = failed.err.splitlines()[-1]
    assert last == "ganbench: RuntimeError: the disk is on fire ('ganbench --debug ...' shows where)"
    record = json.loads((run_folder(tmp_path) / "failure.json").read_text())
    assert record["error"] == "RuntimeError: the disk\n is on fire"
    assert "in broken" in record["traceback"]
    (row,) = call("table", "--results", tmp_path, "--json").json["rows"]
    assert (row["runs.n"], row["runs.failed"]) == (1, 1)
    assert train("dcgan", tmp_path).code == 0
    assert not (run_folder(tmp_path) / "failure.json").exists()
