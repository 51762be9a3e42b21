"""`ganbench table SUITE --plot`: the figure, and the data that it shows."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from harness import call
from synthetic import Synthetic, plan_once

from ganbench import suite_table
from ganbench.plots import curve_frame, draw
from ganbench.suite_table import SuiteTable, load_table

ROWS = ("sn-d", "sn-gd", "sn-gd-ttur")


@pytest.fixture(autouse=True)
def _quick_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_table, "plan", plan_once)


@pytest.fixture(scope="module")
def figure3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Figure 3 with three seeds, of which one diverged and one is under way. Read-only."""
    made = Synthetic(tmp_path_factory.mktemp("figure3"), "sagan-figure3")
    for place, row in enumerate(ROWS):
        for seed in range(3):
            status = {("sn-d", 2): "diverged", ("sn-gd", 2): "unfinished"}.get((row, seed), "finished")
            curve = [200.0, 90.0 - 20 * place, 50.0 + seed, 10.0 + place + seed]
            made.run(row, seed, curve[-1], status=status, curve=curve[:2] if status == "diverged" else curve)
    return made.results


@pytest.fixture
def table(figure3: Path) -> SuiteTable:
    return load_table("sagan-figure3", figure3)


def test_the_data_are_every_evaluation_of_every_run_that_has_ended(table: SuiteTable) -> None:
    frame = curve_frame(table)
    assert list(frame.columns) == ["row", "seed", "status", "step", "g_steps", "n", "fcd", "classifier_score"]
    assert frame.groupby(["row", "seed"]).size().to_dict() == {
        ("sn-d", 0): 4,
        ("sn-d", 1): 4,
        ("sn-d", 2): 2,
        ("sn-gd", 0): 4,
        ("sn-gd", 1): 4,
        **{("sn-gd-ttur", seed): 4 for seed in range(3)},
    }
    assert frame[frame["row"] == "sn-gd"]["fcd"].tolist() == [200, 70, 50, 11, 200, 70, 51, 12]
    assert set(frame[frame["status"] == "diverged"]["seed"]) == {2}


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml")])
def test_the_same_records_give_the_same_bytes(suffix: str, start: bytes, table: SuiteTable) -> None:
    drawn = draw(table, suffix)
    assert drawn.startswith(start)
    assert drawn == draw(table, suffix)
    assert b"<dc:date>" not in drawn


def test_the_command_draws_and_prints(figure3: Path, tmp_path: Path) -> None:
    target = tmp_path / "curves.svg"
    shown = call("table", "sagan-figure3", "--results", figure3, "--plot", target)
    assert (shown.code, shown.err) == (0, f"drawn: {target}\n")
    assert "SN on G and D, TTUR" in shown.out
    assert target.read_bytes().startswith(b"<?xml")


def test_the_published_have_a_panel_of_their_own_scale(table: SuiteTable) -> None:
    from matplotlib import rc_context

    from ganbench import plots

    with rc_context({"font.family": "DejaVu Sans"}):
        figure = plots._figure(table, curve_frame(table))
    ours_fcd, theirs_fid, ours_score, theirs_score = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "fcd (900 samples)",
        "FID",
        "classifier_score (900 samples)",
        "IS",
    ]
    assert "mean and range (least to greatest) over seeds" in ours_fcd.get_title()
    assert "published, on another scale: figure4, figure3 of sagan" in theirs_fid.get_title()
    labels = [text.get_text() for text in ours_fcd.get_legend().get_texts()]
    assert labels == [
        "baseline: SN on D (n = 3, 1 diverged)",
        "SN on G and D (n = 3)",
        "SN on G and D, TTUR (n = 3)",
    ]
    mean = ours_fcd.get_lines()[0]
    assert mean.get_xdata().tolist() == [0, 250, 500, 750]
    assert mean.get_ydata().tolist() == [200, 90, 50.5, 10.5]
    dashed = ours_fcd.get_lines()[1]
    assert (dashed.get_linestyle(), dashed.get_ydata().tolist()) == ("--", [200, 90])
    assert len(ours_fcd.collections) == 3
    points = {(x, y) for line in theirs_fid.get_lines() for x, y in zip(*line.get_data(), strict=True)}
    assert {(10_000, 181.84), (260_000, 72.41), (1_000_000, 22.96), (180_000, 32.0)} <= points
    kinds = {text.get_text() for text in theirs_fid.get_legend().get_texts()}
    assert kinds == {"printed", "read off a plot"}
    assert len(theirs_fid.collections) == len(theirs_score.collections) == 1
    assert ours_score.get_lines()


def test_scores_that_are_no_numbers_leave_a_gap(tmp_path: Path) -> None:
    made = Synthetic(tmp_path, "sagan-figure3")
    made.run("sn-d", 0, 10.0, curve=[200.0, math.inf, math.nan, 10.0])
    assert draw(load_table("sagan-figure3", tmp_path), ".svg")


def test_a_suite_of_tables_can_be_drawn_too(tmp_path: Path) -> None:
    made = Synthetic(tmp_path, "sagan-table1")
    made.run("none", 0, 10.0, curve=[200.0, 10.0])
    drawn = draw(load_table("sagan-table1", tmp_path), ".svg").decode()
    assert not re.search("another scale", drawn)


def test_nothing_to_draw_yet(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    shown = call("table", "sagan-figure3", "--results", tmp_path / "results", "--plot", tmp_path / "x.png")
    assert shown.code == 2
    assert "there is nothing to draw of sagan-figure3 yet" in shown.complaint
    assert not (tmp_path / "x.png").exists()
