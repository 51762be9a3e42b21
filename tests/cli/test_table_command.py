"""`ganbench table` and `ganbench.api.load_results`: what is compared, what is counted, what is never ranked."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness import TOY_PLUGIN, call, run_folder, train

from ganbench.api import load_results
from ganbench.drafts import merge, nest
from ganbench.options import parse_assignment
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.resolve import resolve
from ganbench.store import RunFolder, load_runs, write_json
from ganbench.tables import results_frame, short_frame

RunOf = Callable[[str], Path]
Store = Callable[..., Path]
FCDS = (12.5, 10.25, 17.0)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(results: Path, undisturbed: RunOf) -> Store:
    """Store a run with the given scores, as if it had been trained: a real result with other numbers."""
    template = json.loads((run_folder(undisturbed("dcgan")) / "result.json").read_text())
    registry, book = Registry.discover([TOY_PLUGIN]), RecipeBook()
    toy = ["dataset=few-digits", "evaluation.extractor=thumbnail"]

    def keep(
        fcd: float | None = None, *assignments: str, model: str = "dcgan", status: str = "finished", **scores: Any
    ) -> Path:
        draft: dict[str, Any] = {"seed": 0}
        for text in [*toy, *assignments]:
            draft = merge(draft, nest(*parse_assignment(text)))
        folder = RunFolder(results, resolve(registry, book, model, "quick", [draft]).spec)
        folder.create()
        if status == "failed":
            write_json(folder.failure, {"error": "RuntimeError: no", "traceback": ""})
        if status in ("failed", "unfinished"):
            return folder.path
        result = copy.deepcopy(template) | {
            "run_id": folder.spec.run_id,
            "cell_id": folder.spec.cell_id,
            "model": model,
            "status": status,
            **{key: scores.pop(key) for key in ("protocol_id", "protocol", "counters") if key in scores},
        }
        result["scores"]["final"] = {**result["scores"]["final"], "fcd": fcd} if status == "finished" else None
        result["scores"]["best"]["fcd"] = scores.pop("best", fcd)
        if result["scores"]["final"]:
            result["scores"]["final"].update(scores)
        write_json(folder.result, result)
        return folder.path

    return keep


def table(results: Path, *arguments: str) -> Any:
    shown = call("table", "--results", results, "--json", *arguments)
    assert shown.code == 0, shown.err
    return shown.json


def three_seeds(store: Store) -> None:
    for seed, fcd in enumerate(FCDS):
        store(fcd, f"seed={seed}", best=fcd - 1)


def test_seeds_are_one_row_with_mean_and_deviation(store: Store, results: Path) -> None:
    three_seeds(store)
    (row,) = table(results)["rows"]
    assert (row["runs.n"], row["runs.finished"]) == (3, 3)
    assert row["fcd.mean"] == pytest.approx(statistics.mean(FCDS), rel=1e-12)
    assert row["fcd.std"] == pytest.approx(statistics.stdev(FCDS), rel=1e-12)
    assert row["fcd.best"] == pytest.approx(statistics.mean(FCDS) - 1, rel=1e-12)
    assert (row["group"], row["rank"], row["model"]) == (1, 1, "dcgan")
    assert row["counters.g_steps"] == 6
    text = call("table", "--results", results).out
    assert f"{statistics.mean(FCDS):.4g} ± {statistics.stdev(FCDS):.2g}" in text


def test_one_seed_has_no_deviation(store: Store, results: Path) -> None:
    store(12.5)
    (row,) = table(results)["rows"]
    assert row["fcd.std"] is None
    line = call("table", "--results", results).out.splitlines()[3]
    assert " 12.5 " in line
    assert "nan" not in line.lower()
    assert "±" not in line


def test_rows_are_ranked_by_the_frechet_distance(store: Store, results: Path) -> None:
    store(30.0, "loss=hinge")
    store(10.0, "loss=wasserstein")
    store(20.0, model="sagan")
    rows = table(results)["rows"]
    assert [row["fcd.mean"] for row in rows] == [10, 20, 30]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["model"] for row in rows] == ["dcgan", "sagan", "dcgan"]
    assert [row["variant"] for row in rows] == ["loss=wasserstein", "", "loss=hinge"]


def test_equal_scores_share_a_rank(store: Store, results: Path) -> None:
    for fcd, loss in ((10.0, "hinge"), (10.0, "wasserstein"), (11.0, "least-squares")):
        store(fcd, f"loss={loss}")
    assert [row["rank"] for row in table(results)["rows"]] == [1, 1, 3]


def test_options_that_differ_are_named(store: Store, results: Path) -> None:
    store(1.0, "architecture.width=8", "optimizer.lr_g=3e-4")
    store(2.0, "architecture.width=16", "optimizer.lr_g=3e-4", "generator.norm.momentum=0.5")
    first, second = (row["variant"] for row in table(results)["rows"])
    assert "architecture.options.width=8" in first
    assert "generator.norm.options.momentum=0.5" in second
    assert "lr_g" not in first + second


def test_another_budget_is_another_group(store: Store, results: Path) -> None:
    store(10.0, "budget=64kimg")
    store(5.0, "budget=64kimg", "loss=hinge")
    store(20.0, "budget=128kimg")
    told = table(results)
    assert [(row["group"], row["rank"], row["fcd.mean"]) for row in told["rows"]] in (
        [(1, 1, 5.0), (1, 2, 10.0), (2, 1, 20.0)],
        [(1, 1, 20.0), (2, 1, 5.0), (2, 2, 10.0)],
    )
    assert len(told["groups"]) == 2
    assert "not ranked with group 1" in told["groups"][1]
    assert "budget" in told["groups"][1].partition("differ in")[2]
    assert "128kimg" in told["groups"][1]
    assert "64kimg" in told["groups"][1]
    assert told["groups"][1] in call("table", "--results", results).out


def test_budgets_that_hardly_differ_are_two(store: Store, results: Path) -> None:
    store(1.0, "budget=1234567steps")
    store(2.0, "budget=1234568steps")
    assert [row["group"] for row in table(results)["rows"]] == [1, 2]


def test_another_protocol_is_another_group(store: Store, results: Path) -> None:
    path = store(10.0)
    protocol = json.loads((path / "result.json").read_text())["protocol"]
    other = copy.deepcopy(protocol)
    other["samples"]["count"] = 50000
    store(5.0, "evaluation.samples=800", protocol=other, protocol_id="f" * 64)
    told = table(results)
    assert [row["group"] for row in told["rows"]] == [1, 2]
    assert [row["rank"] for row in told["rows"]] == [1, 1]
    assert "samples.count: " in told["groups"][1]
    assert "50000" in told["groups"][1]


def test_what_did_not_finish_is_counted_and_left_out_of_the_mean(store: Store, results: Path) -> None:
    three_seeds(store)
    store(99.0, "seed=3", status="diverged")
    store(None, "seed=4", status="failed")
    store(None, "seed=5", status="unfinished")
    store(None, "seed=6", status="unfinished")
    (row,) = table(results)["rows"]
    assert row["fcd.mean"] == pytest.approx(statistics.mean(FCDS))
    counts = {name: row[f"runs.{name}"] for name in ("n", "finished", "diverged", "failed", "unfinished")}
    assert counts == {"n": 7, "finished": 3, "diverged": 1, "failed": 1, "unfinished": 2}
    assert "7 (1 diverged, 1 failed, 2 unfinished)" in call("table", "--results", results).out


@pytest.mark.parametrize("status", ["diverged", "failed", "unfinished"])
def test_a_row_that_never_finished_has_no_rank_and_stands_last(status: str, store: Store, results: Path) -> None:
    store(1.0, "loss=hinge", status=status)
    store(50.0, "loss=wasserstein")
    rows = table(results)["rows"]
    assert [(row["variant"], row["rank"]) for row in rows] == [("loss=wasserstein", 1), ("loss=hinge", None)]
    shown = call("table", "--results", results)
    assert shown.code == 0
    assert f"1 (1 {status})" in shown.out


@pytest.mark.parametrize("score", ["NaN", "Infinity"])
def test_a_score_that_is_no_number_stands_last(score: str, store: Store, results: Path) -> None:
    store(float(score.lower()), "loss=hinge")
    store(50.0, "loss=wasserstein")
    rows = table(results)["rows"]
    assert [row["variant"] for row in rows] == ["loss=wasserstein", "loss=hinge"]
    assert [row["rank"] for row in rows] == [1, None]


def test_one_bad_seed_spoils_the_mean(store: Store, results: Path) -> None:
    store(10.0, "seed=0")
    store(math.nan, "seed=1")
    (row,) = table(results)["rows"]
    assert (row["fcd.mean"], row["rank"]) == (None, None)


@pytest.mark.parametrize("style", ["text", "md", "csv", "latex", "json"])
def test_every_format_holds_every_row(style: str, store: Store, results: Path) -> None:
    three_seeds(store)
    store(99.5, "loss=hinge")
    store(42.75, model="sagan")
    shown = call("table", "--results", results, "--format", style)
    assert (shown.code, shown.err) == (0, "")
    for number in ("42.75", "99.5", "13.25"):
        assert number in shown.out
    for model in ("dcgan", "sagan"):
        assert model in shown.out


def test_markdown(store: Store, results: Path) -> None:
    three_seeds(store)
    lines = [line for line in call("table", "--results", results, "--format", "md").out.splitlines() if "|" in line]
    assert len(lines) == 3
    assert len({line.count("|") for line in lines}) == 1
    assert "fcd ↓" in lines[0]
    assert "classifier_score ↑" in lines[0]


def test_csv_is_read_back(store: Store, results: Path) -> None:
    three_seeds(store)
    store(42.75, model="sagan")
    rows = list(csv.DictReader(io.StringIO(call("table", "--results", results, "--format", "csv").out)))
    assert [float(row["fcd.mean"]) for row in rows] == [pytest.approx(13.25), 42.75]
    assert [row["runs.n"] for row in rows] == ["3", "1"]


def test_latex_needs_no_mending(store: Store, results: Path) -> None:
    store(42.75, "optimizer.lr_g=3e-4")
    store(43.75, "optimizer.lr_g=4e-4")
    shown = call("table", "--results", results, "--format", "latex").out
    assert r"\begin{tabular}" in shown
    assert r"optimizer.lr\_g=0.0003" in shown
    assert r"fcd $\downarrow$" in shown
    assert r"classifier\_score $\uparrow$" in shown
    tabular = shown[shown.index(r"\begin{tabular}") : shown.index(r"\end{tabular}")]
    assert not set("↓↑±") & set(tabular)
    assert "_" not in tabular.replace(r"\_", "")


def test_one_metric(store: Store, results: Path) -> None:
    store(42.75)
    shown = call("table", "--results", results, "--metric", "fcd").out
    assert "fcd ↓" in shown
    assert "precision" not in shown
    columns = table(results, "--metric", "recall", "--metric", "fcd")["rows"][0]
    assert {c.split(".")[0] for c in columns} >= {"recall", "fcd"}
    assert "kcd.mean" not in columns


def test_stand_ins_are_told_from_inception(store: Store, results: Path) -> None:
    store(42.75)
    told = table(results)
    assert "fcd, kcd and classifier_score are not FID, KID and IS: another network judged the images" in told["notes"]
    assert not [key for key in told["rows"][0] if key.startswith(("fid", "kid", "inception_score"))]


@pytest.mark.parametrize("style", ["text", "md", "csv", "latex", "json"])
def test_no_runs_yet(style: str, results: Path) -> None:
    results.mkdir()
    shown = call("table", "--results", results, "--format", style)
    assert (shown.code, shown.err) == (0, "")
    if style == "json":
        assert shown.json["rows"] == []
    elif style != "csv":
        assert "no runs yet: 'ganbench run --model sagan' makes one" in shown.out


def test_no_results_folder(results: Path) -> None:
    shown = call("table", "--results", results)
    assert shown.code == 1
    assert f"there is no results folder {results}" in shown.complaint
    with pytest.raises(Exception, match="there is no results folder"):
        load_results(results)


def test_only_unfinished_runs(store: Store, results: Path) -> None:
    store(None, status="unfinished")
    shown = call("table", "--results", results)
    assert (shown.code, shown.err) == (0, "")
    assert "1 (1 unfinished)" in shown.out


def test_from_python_it_is_the_same_frame(store: Store, results: Path) -> None:
    three_seeds(store)
    store(42.75, model="sagan")
    frame = load_results(str(results))
    pd.testing.assert_frame_equal(frame, results_frame(load_runs(results)))
    assert frame.index.names == ["group", "rank", "model", "variant"]
    assert list(frame["fcd", "mean"]) == [row["fcd.mean"] for row in table(results)["rows"]]
    assert frame.attrs["groups"] == table(results)["groups"]
    assert len(short_frame(frame)) == 2


def test_a_copied_run_is_not_another_seed(store: Store, results: Path) -> None:
    path = store(42.75)
    copied = path.with_name(f"{path.name}-backup")
    copied.mkdir()
    for name in ("spec.json", "result.json"):
        (copied / name).write_bytes((path / name).read_bytes())
    told = table(results)
    assert told["rows"][0]["runs.n"] == 1
    assert any(str(copied) in note for note in told["notes"])


def test_real_runs(tmp_path: Path) -> None:
    outcomes = [train("dcgan", tmp_path, "--seed", seed) for seed in ("1", "2")]
    diverged = train("dcgan", tmp_path, "--seed", "3", "--set", "optimizer.lr_d=1e30")
    assert [o.code for o in (*outcomes, diverged)] == [0, 0, 4]
    fcds = [o.json["scores"]["final"]["fcd"] for o in outcomes]
    rows = table(tmp_path)["rows"]
    assert rows[0]["fcd.mean"] == pytest.approx(statistics.mean(fcds))
    assert rows[0]["fcd.std"] == pytest.approx(statistics.stdev(fcds))
    assert rows[0]["fcd.floor"] == outcomes[0].json["scores"]["floor"]["fcd"]
    assert rows[0]["parameters.generator"] == outcomes[0].json["parameters"]["generator"]
    assert (rows[1]["runs.diverged"], rows[1]["rank"], rows[1]["fcd.mean"]) == (1, None, None)
    assert rows[1]["fcd.best"] == diverged.json["scores"]["best"]["fcd"]
