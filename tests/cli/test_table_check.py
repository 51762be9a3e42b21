"""`ganbench table --check` and `--write`: what is committed is what the committed records give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from harness import call
from synthetic import Synthetic, plan_once

from ganbench import committed, suite_table

FIGURE3 = ("sagan-figure3.md", "sagan-figure3.csv", "sagan-figure3-curves.csv", "sagan-figure3.svg")


@pytest.fixture(autouse=True)
def _quick_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_table, "plan", plan_once)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of records with its tables and its figure. Read-only."""
    folder = tmp_path_factory.mktemp("results") / "quick"
    for suite, rows in (("sagan-figure3", ("sn-d", "sn-gd")), ("baselines", ("dcgan", "sngan"))):
        made = Synthetic(folder, suite)
        for place, row in enumerate(rows):
            for seed in range(2):
                made.run(row, seed, 10.0 + place, curve=[200.0, 50.0 + seed, 11.0 + place])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite_table, "plan", plan_once)
        for suite in ("sagan-figure3", "baselines"):
            assert call("table", suite, "--write", folder).code == 0
    (folder / "table.md").write_text(call("table", "--results", folder, "--format", "md").out)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(written, tmp_path / "quick"))


def test_what_is_written_is_what_the_command_prints(written: Path) -> None:
    for style, ending in (("md", ".md"), ("csv", ".csv")):
        printed = call("table", "sagan-figure3", "--results", written, "--format", style).out
        assert (written / f"sagan-figure3{ending}").read_text() == printed
    assert {path.name for path in written.iterdir()} == {
        *FIGURE3,
        *("baselines.md", "baselines.csv", "table.md", "runs"),
    }


def test_the_check_names_all_that_it_has_compared(written: Path) -> None:
    shown = call("table", "--check", written)
    assert (shown.code, shown.err) == (0, "")
    names = [line.removeprefix("as its records give: ") for line in shown.out.splitlines()]
    assert names == sorted([*FIGURE3, "baselines.md", "baselines.csv", "table.md"])


def test_the_check_does_not_depend_on_where_it_is_called(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert call("table", "--check", "quick").code == 0
    monkeypatch.chdir(folder)
    assert call("table", "--check", ".").code == 0


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("baselines.md", "10 ± 0", "9 ± 0"),
        ("sagan-figure3.csv", "SN on G and D", "SN on D and G"),
        ("sagan-figure3-curves.csv", "51.0", "41.0"),
        ("table.md", "| 1 ", "| 2 "),
    ],
)
def test_a_changed_table_is_named_with_its_first_line(name: str, old: str, new: str, folder: Path) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    changed = next(number for number, line in enumerate(text.splitlines(), start=1) if old in line)
    shown = call("table", "--check", folder)
    assert shown.code == 1
    assert f"{path} is not what its records give, line {changed}: it has '" in shown.complaint
    assert f"'ganbench table --write {folder}' makes it again" in shown.complaint


def test_a_changed_figure_is_named(folder: Path) -> None:
    path = folder / "sagan-figure3.svg"
    path.write_bytes(path.read_bytes().replace(b"<path ", b"<path  ", 1))
    shown = call("table", "--check", folder)
    assert shown.code == 1
    assert f"{path} is not what its records give, line " in shown.complaint


def test_a_line_less_is_a_difference(folder: Path) -> None:
    path = folder / "sagan-figure3-curves.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    assert f"line {len(lines)}: it has {len(lines) - 1} lines where they give {len(lines)}" in (
        call("table", "--check", folder).complaint
    )


def test_changed_records_are_found_and_written_again(folder: Path) -> None:
    path = next(path for path in (folder / "runs").glob("*/result.json") if "sngan" in path.parent.name)
    result = json.loads(path.read_text())
    result["scores"]["final"]["fcd"] = 99.0
    path.write_text(json.dumps(result))
    assert f"{folder / 'baselines.csv'} is not what its records give" in call("table", "--check", folder).complaint
    shown = call("table", "--write", folder)
    assert shown.code == 0
    assert len(shown.out.splitlines()) == 7
    assert call("table", "--check", folder).code == 0


def test_a_figure_of_another_matplotlib_is_compared_by_its_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committed, "_matplotlib", lambda: "99.0")
    shown = call("table", "--check", folder)
    assert shown.code == 0
    assert "sagan-figure3.svg (by its data alone: it was drawn by Matplotlib " in shown.out
    (folder / "sagan-figure3-curves.csv").unlink()
    assert "sagan-figure3-curves.csv with its data is missing" in call("table", "--check", folder).complaint


def test_records_that_cannot_be_read_are_no_base_for_a_table(folder: Path) -> None:
    (folder / "runs" / "sagan-old").mkdir()
    for arguments in (["--check"], ["--write"], ["baselines", "--write"]):
        shown = call("table", *arguments, folder)
        assert shown.code == 1
        assert "1 under runs/ cannot be read, so no table of them is whole: " in shown.complaint


def test_a_folder_without_tables_or_records(tmp_path: Path) -> None:
    assert "holds no runs/" in call("table", "--check", tmp_path).complaint
    (tmp_path / "runs").mkdir()
    shown = call("table", "--check", tmp_path)
    assert shown.code == 1
    assert "holds no generated table: 'ganbench table SUITE --write" in shown.complaint
    assert call("table", "--write", tmp_path).code == 2


def test_the_folder_is_named_for_the_profile(folder: Path) -> None:
    renamed = folder.rename(folder.with_name("quik"))
    shown = call("table", "--check", renamed)
    assert shown.code == 2
    assert "unknown profile of baselines 'quik': did you mean quick?" in shown.complaint


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["--best"], "--best"),
        (["--results", "elsewhere"], "--results"),
        (["baselines"], "SUITE"),
        (["--write", "."], "--write"),
        (["--set", "batch=8"], "--set"),
    ],
)
def test_the_check_takes_the_folder_as_it_is(arguments: list[str], extra: str, written: Path) -> None:
    shown = call("table", "--check", written, *arguments)
    assert shown.code == 2
    assert shown.complaint.endswith(f"--check takes the folder as it is: leave out {extra}")
