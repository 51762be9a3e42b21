"""`ganbench table SUITE`: the paper's rows, ours beside the published, with uncertainty and with what is not known."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from harness import call
from synthetic import PER_STEP, STEPS, Synthetic, plan_once

import ganbench.api
from ganbench import suite_table

SEEDS = range(3)
TABLE1 = ("none", "self-8", "self-16", "residual-8", "residual-16")
"""The rows of table 1 that 32 px have."""
PUBLISHED = (22.96, 22.98, 22.14, 42.13, 22.40)
FCDS = {
    "none": (10.0, 11.0, 12.0),
    "self-8": (9.0, 10.5, 11.75),  # less none: -1, -0.5, -0.25
    "self-16": (8.0, 12.0, 9.0),  # less none: -2, 1, -3
    "residual-8": (20.0, 22.0, 27.0),  # less none: 10, 11, 15
    "residual-16": (11.0, 10.5, 13.5),  # less none: 1, -0.5, 1.5
}
Runs = Callable[[str], Synthetic]


@pytest.fixture(autouse=True)
def _quick_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_table, "plan", plan_once)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A results folder to be filled with runs of a suite."""
    return lambda suite: Synthetic(tmp_path / "results", suite)


@pytest.fixture(scope="module")
def table1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Table 1 with all its rows and three seeds; the results folder. Read-only."""
    made = Synthetic(tmp_path_factory.mktemp("table1"), "sagan-table1")
    for place, (row, scores) in enumerate(FCDS.items()):
        for seed, fcd in enumerate(scores):
            made.run(
                row,
                seed,
                fcd,
                curve=[200.0, 50.0 + place, 20.0 + place + seed, fcd],
                seconds=100.0 * (place + 1) + seed,
                flops=PER_STEP["flops"] * (place + 1),
            )
    return made.results


def told(results: Path, suite: str = "sagan-table1", *arguments: str) -> Any:
    shown = call("table", suite, "--results", results, "--json", *arguments)
    assert shown.code == 0, shown.err
    return shown.json


def rows_of(document: Any) -> dict[str, Any]:
    return {row["row"]: row for row in document["rows"]}


def notes_of(document: Any) -> str:
    return "\n".join(document["notes"])


def test_rows_stand_in_the_papers_order_with_the_absent_and_the_reason(table1: Path) -> None:
    document = told(table1)
    assert [row["row"] for row in document["rows"]] == [
        "none",
        *(f"{block}-{place}" for block in ("self", "residual") for place in (8, 16, 32, 64)),
    ]
    rows = rows_of(document)
    for name in ("self-32", "self-64", "residual-32", "residual-64"):
        assert "at 32 px has no feature map" in rows[name]["row.absent"]
        assert (rows[name]["fcd.mean"], rows[name]["runs.n"]) == (None, 0)
        assert rows[name]["fcd.published"] > 0
    assert "self-attention feat 64: the generator of 'sagan' at 32 px has no feature map 64" in notes_of(document)


def test_seeds_have_mean_deviation_and_interval(table1: Path) -> None:
    rows = rows_of(told(table1))
    for name, scores in FCDS.items():
        row = rows[name]
        assert row["fcd.mean"] == pytest.approx(np.mean(scores), rel=1e-12)
        assert row["fcd.std"] == pytest.approx(np.std(scores, ddof=1), rel=1e-12)
        assert (row["fcd.low"], row["fcd.high"]) == (pytest.approx(min(scores)), pytest.approx(max(scores)))
        assert (row["fcd.n"], row["runs.n"], row["runs.finished"]) == (3, 3, 3)
        assert row["fcd.final"] == row["fcd.mean"]
        assert row["fcd.best"] == pytest.approx(np.mean(scores) - 1, rel=1e-12)
        assert row["fcd.floor"] == 0.0875


def test_differences_are_paired_and_marked_only_without_zero(table1: Path) -> None:
    document = told(table1)
    rows = rows_of(document)
    assert (rows["none"]["fcd.difference"], rows["none"]["fcd.difference_n"]) == (None, 0)
    assert rows["self-8"]["fcd.difference"] == pytest.approx((-1 - 0.5 - 0.25) / 3)
    assert (rows["self-8"]["fcd.difference_low"], rows["self-8"]["fcd.difference_high"]) == (-1.0, -0.25)
    assert [rows[name]["fcd.marked"] for name in TABLE1] == [False, True, False, True, False]
    assert "of 3 seeds it does so in 25% of comparisons of equals" in notes_of(document)
    assert "8 comparisons, not corrected for their number" in notes_of(document)
    (line,) = [
        line for line in call("table", "sagan-table1", "--results", table1).out.splitlines() if "fcd - none " in line
    ]
    assert line.count("*") == 2
    assert "-0.583 [-1, -0.25] *" in line
    assert "-1.33 [-3, 1] " in line


def test_the_published_number_and_the_agreement_of_orders(table1: Path) -> None:
    document = told(table1)
    rows = rows_of(document)
    assert [rows[name]["fcd.published"] for name in TABLE1] == list(PUBLISHED)
    assert {rows[name]["fcd.published_source"] for name in TABLE1} == {"table1"}
    assert {rows[name]["fcd.published_kind"] for name in TABLE1} == {"table"}
    ours = [float(np.mean(FCDS[name])) for name in TABLE1]
    tau = scipy.stats.kendalltau(ours, PUBLISHED).statistic
    assert document["agreement"]["fcd"] == {"tau": pytest.approx(tau), "rows": 5, "reason": ""}
    assert [rows[name]["fcd.rank"] for name in TABLE1] == scipy.stats.rankdata(ours, "min").tolist()
    assert [rows[name]["fcd.published_rank"] for name in TABLE1] == scipy.stats.rankdata(PUBLISHED, "min").tolist()
    assert f"Kendall's tau {tau:.2f} over 5 rows" in notes_of(document)


def test_an_order_of_equals_is_not_told(table1: Path) -> None:
    document = told(table1)
    assert document["agreement"]["classifier_score"]["tau"] == "NaN"
    assert "against the published order by IS: not told, all rows have one number" in notes_of(document)


def test_one_line_says_what_a_reader_must_know(table1: Path) -> None:
    (_, facts, *_) = call("table", "sagan-table1", "--results", table1).out.splitlines()
    for said in (
        *("profile quick", "digits 32 px", "budget 12kimg", "real images shown to D are matched"),
        *("judged by cnn-digits on 900 samples", "3 seeds", "held-out real images get fcd 0.0875"),
        "another scale, and only orders compare: digits is not imagenet, 32 px are not 128 px, cnn-digits is not Incep",
    ):
        assert said in facts
    assert facts == told(table1)["facts"]


def test_the_costs_stand_beside(table1: Path) -> None:
    row = rows_of(told(table1))["self-8"]
    assert row["counters.d_steps"] == row["counters.g_steps"] == STEPS
    assert row["counters.real_images"] == 12_000
    assert row["counters.flops"] == 2 * PER_STEP["flops"] * STEPS
    assert row["counters.train_seconds"] == pytest.approx(201)
    assert row["counters.peak_memory_bytes"] == 1_000_000_002
    assert (row["parameters.generator"], row["parameters.discriminator"]) == (131_000, 17_500)
    text = call("table", "sagan-table1", "--results", table1).out
    (line,) = [line for line in text.splitlines() if "self-attention feat 8 " in line]
    assert line.split()[3:] == ["131k", "17.5k", "12", "750", "750", "1.5G", "201", "1000", "-"]


def test_attempts_and_what_they_wasted_are_told(runs: Runs) -> None:
    made = runs("sagan-table1")
    for row, fcd in (("none", 10.0), ("self-8", 9.0)):
        made.run(row, 0, fcd)
    lone, tried = sorted((made.results / "runs").iterdir())
    start = {"event": "start", "time": 0.0, "host": "here", "pid": 1}
    done = {"event": "end", "how": "done", "seconds": 50.0, "kept": 45.0}
    (lone / "attempts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in (start, done)))
    assert "attempts" not in notes_of(told(made.results))
    killed = {"event": "end", "how": "killed", "seconds": 30.0, "kept": 18.0}
    (tried / "attempts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in (start, killed, start, done)))
    document = told(made.results)
    assert sorted(row["runs.attempts"] for row in document["rows"] if row["runs.n"]) == [1, 2]
    assert sorted(row["counters.wasted_seconds"] for row in document["rows"] if row["runs.n"]) == [0, 12]
    assert (
        "2 runs took 3 attempts, of which 12 s were spent on what was not kept: in no cost above" in document["notes"]
    )
    del killed["kept"]
    (tried / "attempts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in (start, killed, start, done)))
    assert "of which an unknown time was spent on what was not kept" in notes_of(told(made.results))


def test_the_layout_is_the_papers(table1: Path) -> None:
    lines = call("table", "sagan-table1", "--results", table1).out.splitlines()
    heads = [line.split() for line in lines[3:5]]
    assert heads[0] == ["self-attention", "residual"]
    assert heads[1] == ["no", "attention", *["feat", "8", "feat", "16", "feat", "32", "feat", "64"] * 2]
    assert any(line.split()[:3] == ["table1", "FID", "22.96"] for line in lines)


def test_a_row_that_was_not_run_says_so(runs: Runs) -> None:
    made = runs("sagan-table1")
    for seed in SEEDS:
        made.run("self-8", seed, 10.0 + seed)
    document = told(made.results)
    rows = rows_of(document)
    assert rows["none"]["row.absent"] == "not run yet"
    assert "no attention: not run yet" in document["notes"]
    assert rows["self-8"]["fcd.difference_n"] == 0
    assert document["agreement"]["fcd"]["reason"] == "fewer than 2 rows have both"


def test_nothing_was_run_yet(runs: Runs) -> None:
    made = runs("sagan-figure3")
    shown = call("table", "sagan-figure3", "--results", made.results)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.count("not run") >= 3
    assert "not run yet" in shown.out.splitlines()[1]


def test_one_seed_has_no_interval_and_the_table_says_so(runs: Runs) -> None:
    made = runs("sagan-figure3")
    for row in ("sn-d", "sn-gd"):
        made.run(row, 0, 10.0)
    document = told(made.results, "sagan-figure3")
    row = rows_of(document)["sn-gd"]
    assert (row["fcd.n"], row["fcd.std"], row["fcd.low"], row["fcd.high"]) == (1, None, None, None)
    assert (row["fcd.difference_n"], row["fcd.difference_low"], row["fcd.marked"]) == (1, None, False)
    assert "n = 1: one seed has no deviation and no interval" in notes_of(document)
    assert ", 1 seed," in document["facts"]
    shown = call("table", "sagan-figure3", "--results", made.results).out
    assert shown.count("n = 1 ") >= 2
    assert "±" not in shown
    assert "*" not in shown


def test_two_seeds_are_never_marked(runs: Runs) -> None:
    made = runs("sagan-figure3")
    for seed in range(2):
        made.run("sn-d", seed, 10.0)
        made.run("sn-gd", seed, 5.0 - seed)
    document = told(made.results, "sagan-figure3")
    row = rows_of(document)["sn-gd"]
    assert (row["fcd.difference_low"], row["fcd.difference_high"], row["fcd.marked"]) == (-6.0, -5.0, False)
    assert "nothing is marked below 3 common seeds" in notes_of(document)


def test_a_diverged_seed_is_counted_and_in_no_mean(runs: Runs) -> None:
    made = runs("sagan-figure3")
    for seed in SEEDS:
        made.run("sn-d", seed, 10.0 + seed)
        made.run("sn-gd", seed, 5.0, status="finished" if seed else "diverged")
    made.run("sn-gd-ttur", 0, status="failed")
    made.run("sn-gd-ttur", 1, status="unfinished", curve=[100.0])
    document = told(made.results, "sagan-figure3")
    rows = rows_of(document)
    row = rows["sn-gd"]
    assert (row["runs.n"], row["runs.finished"], row["runs.diverged"], row["fcd.n"]) == (3, 2, 1, 2)
    assert row["fcd.mean"] == 5.0
    assert row["fcd.difference"] == pytest.approx(5.0 - 11.5)
    assert "SN on G and D: 1 of 3 seeds diverged: counted in n, in no mean" in document["notes"]
    assert (rows["sn-gd-ttur"]["runs.failed"], rows["sn-gd-ttur"]["runs.unfinished"]) == (1, 1)
    assert "SN on G and D, TTUR: 1 of 2 seeds failed: counted in n, in no mean" in document["notes"]
    shown = call("table", "sagan-figure3", "--results", made.results).out
    assert "3 (1 diverged)" in shown
    assert "2 (1 failed, 1 unfinished)" in shown


def test_a_row_whose_seeds_all_diverged(runs: Runs) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 5.0, status="diverged")
    lines = call("table", "sagan-figure3", "--results", made.results).out.splitlines()
    assert any(re.match(r"\s*baseline: SN on D\s+diverged\s", line) for line in lines)


@pytest.mark.parametrize(("odd", "shown"), [(math.nan, "nan"), (math.inf, "inf")])
def test_a_score_that_is_no_number_is_shown_and_has_no_rank(odd: float, shown: str, runs: Runs) -> None:
    made = runs("sagan-figure3")
    for seed in SEEDS:
        made.run("sn-d", seed, 10.0 + seed)
        made.run("sn-gd", seed, odd if seed == 1 else 5.0)
    document = told(made.results, "sagan-figure3")
    row = rows_of(document)["sn-gd"]
    assert (row["fcd.rank"], row["fcd.n"], row["fcd.marked"]) == (None, 3, False)
    assert rows_of(document)["sn-d"]["fcd.rank"] == 1
    assert any(note.startswith("SN on G and D: fcd of 1 of 3 seeds is no finite number") for note in document["notes"])
    text = call("table", "sagan-figure3", "--results", made.results).out
    assert re.search(rf"SN on G and D\s+{shown}\s", text)


def test_published_numbers_of_different_steps_give_no_order(runs: Runs) -> None:
    made = runs("sagan-figure3")
    for place, row in enumerate(("sn-d", "sn-gd", "sn-gd-ttur")):
        made.run(row, 0, 10.0 + place)
    document = told(made.results, "sagan-figure3")
    assert document["agreement"]["fcd"]["reason"] == "the published numbers are of different steps"
    rows = rows_of(document)
    assert rows["sn-gd"]["fcd.published_source"] == "figure4 at step 260,000"
    assert {row["fcd.published_rank"] for row in rows.values()} == {None}
    text = call("table", "sagan-figure3", "--results", made.results).out
    assert "72.41 (figure4 at step 260,000)" in text


def test_a_suite_without_a_paper(runs: Runs) -> None:
    made = runs("losses")
    made.run("hinge", 0, 10.0)
    document = told(made.results, "losses")
    assert document["facts"].endswith("nothing was published of these rows")
    assert not [note for note in document["notes"] if "Kendall" in note]


def test_best_in_place_of_final(table1: Path) -> None:
    document = told(table1, "sagan-table1", "--best")
    row = rows_of(document)["self-8"]
    assert row["fcd.mean"] == row["fcd.best"] == pytest.approx(np.mean(FCDS["self-8"]) - 1)
    assert row["fcd.final"] == pytest.approx(np.mean(FCDS["self-8"]))
    assert document["scores"] == "best"
    assert "of the best checkpoints" in notes_of(document)
    text = call("table", "sagan-table1", "--best", "--results", table1).out
    assert "best fcd ↓" in text
    assert "final fcd" in text


def test_matched_at_equal_seconds(table1: Path) -> None:
    """The fastest runs end at 100 seconds: 'self-8', of some 200, is then half through its 750 steps."""
    document = told(table1, "sagan-table1", "--match", "seconds")
    rows = rows_of(document)
    assert rows["none"]["counters.g_steps"] < STEPS  # two of its three seeds took a little longer
    assert rows["self-8"]["counters.g_steps"] == 250
    assert rows["self-8"]["fcd.mean"] == 51.0
    assert rows["self-8"]["counters.train_seconds"] <= 100
    assert rows["residual-16"]["counters.g_steps"] == 0
    assert rows["residual-16"]["fcd.mean"] == 200.0
    assert document["scores"] == "at 100.0 training seconds"
    assert "nothing interpolated" in notes_of(document)


def test_matched_at_equal_flops_and_images(table1: Path) -> None:
    rows = rows_of(told(table1, "sagan-table1", "--match", "flops"))
    assert [rows[name]["counters.g_steps"] for name in TABLE1] == [750, 250, 250, 0, 0]
    assert rows["none"]["fcd.mean"] == pytest.approx(11.0)
    rows = rows_of(told(table1, "sagan-table1", "--match", "images"))
    assert {rows[name]["counters.real_images"] for name in TABLE1} == {12_000}
    assert rows["self-16"]["fcd.mean"] == pytest.approx(np.mean(FCDS["self-16"]))


def test_matched_at_a_given_amount(table1: Path) -> None:
    rows = rows_of(told(table1, "sagan-table1", "--match", "8kimg"))
    assert {rows[name]["counters.g_steps"] for name in TABLE1} == {500}
    assert rows["self-8"]["fcd.mean"] == pytest.approx((21 + 22 + 23) / 3)


def test_runs_without_records_are_told_where_they_are_cut(runs: Runs) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 10.0, curve=[100.0, 10.0])
    made.run("sn-gd", 0, 11.0)
    document = told(made.results, "sagan-figure3", "--match", "images")
    assert rows_of(document)["sn-gd"]["fcd.n"] == 0
    assert "SN on G and D: 1 of 1 runs have no fcd at the limit" in document["notes"]
    assert "no scores" in call("table", "sagan-figure3", "--results", made.results, "--match", "images").out


def test_another_metric_by_either_name(table1: Path) -> None:
    for name in ("fid", "fcd"):
        columns = {key.partition(".")[0] for key in told(table1, "sagan-table1", "--metric", name)["rows"][0]}
        assert "fcd" in columns
        assert "classifier_score" not in columns
    both = told(table1, "sagan-table1", "--metric", "fid", "--metric", "fcd")
    assert list(both["agreement"]) == ["fcd"]


def test_a_budget_of_ones_own_needs_no_telling(runs: Runs) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 10.0, 'budget="50steps"')
    document = told(made.results, "sagan-figure3")
    assert rows_of(document)["sn-d"]["runs.n"] == 1
    assert "budget 50steps" in document["facts"]


def test_two_budgets_are_refused_and_both_named(runs: Runs) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 10.0, 'budget="50steps"')
    for seed in SEEDS:
        made.run("sn-gd", seed, 11.0)
    shown = call("table", "sagan-figure3", "--results", made.results)
    assert shown.code == 1
    for said in ("sagan-figure3", "50steps", "12kimg", "and 2 more", "--budget"):
        assert said in shown.complaint
    for budget, row in (("50steps", "sn-d"), ("12kimg", "sn-gd")):
        rows = rows_of(told(made.results, "sagan-figure3", "--budget", budget))
        assert [name for name in rows if rows[name]["runs.n"]] == [row]


@pytest.mark.parametrize(
    ("key", "changed", "values"),
    [
        ("evaluation.samples", {"assignments": ["evaluation.samples=800"]}, ("900", "800")),
        ("algo_version", {"spec": {"algo_version": 1}}, ("algo_version",)),
    ],
)
def test_two_protocols_or_versions_are_refused(
    key: str, changed: dict[str, Any], values: tuple[str, ...], runs: Runs
) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 10.0)
    made.run("sn-d", 1, 11.0, *changed.pop("assignments", ()), **changed)
    shown = call("table", "sagan-figure3", "--results", made.results)
    assert shown.code == 1
    assert f"differ in {key}: " in shown.complaint
    for value in values:
        assert value in shown.complaint


def test_two_protocols_in_the_results_are_refused(runs: Runs) -> None:
    made = runs("sagan-figure3")
    path = made.run("sn-d", 0, 10.0)
    protocol = json.loads((path / "result.json").read_text())["protocol"]
    protocol["libraries"] = {"torch-fidelity": "0.5.0"}
    made.run("sn-gd", 0, 10.0, result={"protocol": protocol, "protocol_id": "f" * 64})
    shown = call("table", "sagan-figure3", "--results", made.results)
    assert shown.code == 1
    assert "differ in protocol_id: " in shown.complaint
    assert "ffffffffffff" in shown.complaint


def test_two_providers_of_one_component_are_refused(runs: Runs) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 10.0)
    loss = made.spec("sn-d", 1).loss.model_copy(update={"provider": "mine 2.0"})
    made.run("sn-d", 1, 10.0, spec={"loss": loss})
    complaint = call("table", "sagan-figure3", "--results", made.results).complaint
    assert "the provider of loss 'hinge': ganbench (" in complaint
    assert "against mine 2.0 (" in complaint


def test_two_runs_of_one_seed_are_refused(runs: Runs) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 10.0)
    made.run("sn-d", 0, 11.0, "evaluation.batch=50")
    shown = call("table", "sagan-figure3", "--results", made.results)
    assert shown.code == 1
    assert "row 'sn-d' of sagan-figure3 has two runs of seed 0" in shown.complaint


def test_runs_of_an_older_layout_are_told_apart(runs: Runs) -> None:
    made = runs("sagan-figure3")
    made.run("sn-d", 0, 10.0)
    old = made.run("sn-d", 1, 11.0, result={"schema": 0})
    document = told(made.results, "sagan-figure3")
    assert rows_of(document)["sn-d"]["runs.n"] == 1
    (note,) = [note for note in document["notes"] if note.startswith("not a run of this version, left out: ")]
    assert old.name in note


def test_other_runs_in_the_folder_do_not_count(table1: Path) -> None:
    document = told(table1, "sagan-figure3")
    assert {name: row["runs.n"] for name, row in rows_of(document).items()} == {
        "sn-d": 0,
        "sn-gd": 0,
        "sn-gd-ttur": 3,  # figure 3's last row is table 1's first
    }


@pytest.mark.parametrize("style", ["text", "md", "csv", "latex", "html", "json"])
def test_every_format_holds_every_row(style: str, table1: Path) -> None:
    shown = call("table", "sagan-table1", "--results", table1, "--format", style)
    assert (shown.code, shown.err) == (0, "")
    for number in ("10.42" if style in ("text", "md", "latex", "html") else "10.416", "22.96", "42.13"):
        assert number in shown.out
    if style in ("text", "md", "html", "json"):
        assert "has no feature map 64" in shown.out


def test_markdown_is_rectangular(table1: Path) -> None:
    lines = call("table", "sagan-table1", "--results", table1, "--format", "md").out.splitlines()
    bars = [line.count("|") for line in lines if line.startswith("|")]
    assert set(bars) == {11}  # nine rows and their heads; costs have a head and nine columns
    assert "| self-attention feat 8 " in next(line for line in lines if line.startswith("|"))


def test_csv_is_read_back(table1: Path) -> None:
    text = call("table", "sagan-table1", "--results", table1, "--format", "csv").out
    rows = {row["row"]: row for row in csv.DictReader(io.StringIO(text))}
    assert float(rows["residual-8"]["fcd.mean"]) == pytest.approx(23.0)
    assert rows["residual-8"]["fcd.marked"] == "True"
    assert rows["self-64"]["fcd.mean"] == ""


def test_latex_needs_no_mending(table1: Path) -> None:
    text = call("table", "sagan-table1", "--results", table1, "--format", "latex").out
    tabulars = re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL)
    assert len(tabulars) == 2
    for tabular in tabulars:
        assert all(rule in tabular for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
        assert not set("↓↑±") & set(tabular)
        assert not re.search(r"(?<!\\)[_%#]", tabular)
        columns = re.search(r"\{(l+)\}", tabular)
        assert columns
        body = tabular.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
        lines = [line for line in body.splitlines() if line.strip()]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(columns[1]) - 1}
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", text, flags=re.DOTALL)
    assert all(line.startswith("%") for line in outside.splitlines() if line)


def test_html_stands_alone(table1: Path) -> None:
    text = call("table", "sagan-table1", "--results", table1, "--format", "html").out
    assert text.startswith("<!doctype html>")
    assert not re.search(r"(src|href)=", text)
    assert text.count("<table") == text.count("</table>") == 2
    assert "&#x27;" in text


def test_it_is_written_where_it_is_asked(table1: Path, tmp_path: Path) -> None:
    for name, start in (("t.md", "SAGAN, table 1"), ("t.tex", "% SAGAN"), ("t.html", "<!doctype"), ("t.csv", "group,")):
        shown = call("table", "sagan-table1", "--results", table1, "--out", tmp_path / name)
        assert (shown.code, shown.out) == (0, "")
        assert (tmp_path / name).read_text().startswith(start)
    call("table", "--results", table1, "--out", tmp_path / "all.json")
    assert len(json.loads((tmp_path / "all.json").read_text())["rows"]) == 5


def test_from_python_it_is_the_same_frame(table1: Path) -> None:
    frame = ganbench.api.table("sagan-table1", str(table1))
    assert frame.index.names == ["group", "row", "label"]
    rows = rows_of(told(table1))
    for name in TABLE1:
        assert frame.xs(name, level="row")["fcd", "mean"].item() == rows[name]["fcd.mean"]
    assert frame.attrs["agreement"]["fcd"]["rows"] == 5
    best = ganbench.api.table("sagan-table1", table1, best=True, metrics=["fid"])
    assert set(best.columns.get_level_values(0)) == {"fcd", "runs", "parameters", "counters", "row"}
    cut = ganbench.api.table("sagan-table1", table1, match="8kimg", overrides={"budget": "12kimg"})
    assert cut.xs("none", level="row")["counters", "g_steps"].item() == 500


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["sagan-tabel1"], 2, "unknown suite 'sagan-tabel1': did you mean sagan-table1"),
        (["sagan-table1", "--profile", "quik"], 2, "unknown profile of sagan-table1 'quik': did you mean quick?"),
        (["sagan-table1", "--metric", "fdi"], 2, "unknown metric 'fdi'"),
        (["sagan-table1", "--match", "hours"], 2, "--match takes seconds, flops, images or an amount"),
        (["sagan-table1", "--match", "flops", "--best"], 2, "leave one of them out"),
        (["sagan-table1", "--match", "flops", "--budget", "1kimg"], 2, "--match needs a run that has finished"),
        (["--match", "flops"], 2, "--match is of a suite's table: name one"),
        (["--best"], 2, "--best is of a suite's table"),
        (["sagan-table1", "--plot", "x.pdf"], 2, "--plot draws .png or .svg, not 'x.pdf'"),
        (["sagan-table1", "--results", "nowhere"], 1, "there is no results folder nowhere"),
    ],
)
def test_bad_input(arguments: list[str], code: int, complaint: str, table1: Path) -> None:
    shown = call("table", "--results", table1, *arguments)
    assert shown.code == code
    assert complaint in shown.complaint
