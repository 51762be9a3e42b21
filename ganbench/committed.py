"""Tables and figures that are kept beside their records, and whether they still are what those give.

``results/<profile>/`` holds ``runs/`` and any of: ``<suite>.md``, ``.csv``, ``.tex``, ``.html``, ``.json``, ``.txt``
(the suite's table), ``<suite>-curves.csv`` (all that its figure shows), ``<suite>.svg`` (the figure), ``table.md``
and so on (all runs). A figure is compared byte by byte on the version of Matplotlib that drew it, and by its data
alone on another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganbench.errors import StoreError, UsageError
from ganbench.plots import curve_frame, draw
from ganbench.recipes import RecipeBook
from ganbench.rendering import render
from ganbench.store import load_runs, write_atomically
from ganbench.suite_document import suite_document
from ganbench.suite_table import SuiteTable, load_table
from ganbench.suites import load_suite
from ganbench.tables import results_document, results_frame

STYLE_OF = {".md": "md", ".csv": "csv", ".tex": "latex", ".html": "html", ".json": "json", ".txt": "text"}
"""File name's ending -> the format of a table."""
_CURVES = "-curves.csv"
_FIGURE = ".svg"
_ALL_RUNS = "table"


@dataclass(frozen=True)
class Kept:
    """One file and how to make it again."""

    path: Path
    suite: str
    """Empty for the table of all runs."""

    @property
    def is_figure(self) -> bool:
        """Whether its bytes depend on Matplotlib."""
        return self.path.suffix == _FIGURE

    def made_from(self, tables: dict[str, SuiteTable]) -> bytes:
        """Its content by the records; ``tables`` are those read already, by suite."""
        folder = self.path.parent
        if not self.suite:
            return _text(render(results_document(results_frame(load_runs(folder))), STYLE_OF[self.path.suffix]))
        if self.suite not in tables:
            tables[self.suite] = load_table(self.suite, folder, folder.name)
        table = tables[self.suite]
        if self.is_figure:
            return draw(table, _FIGURE)
        if self.path.name.endswith(_CURVES):
            return _text(curve_frame(table).to_csv(index=False))
        return _text(render(suite_document(table), STYLE_OF[self.path.suffix]))


def _text(content: str) -> bytes:
    return f"{content.rstrip()}\n".encode()


def find_kept(folder: Path) -> list[Kept]:
    """The generated files of a folder, by name. Raises StoreError for a folder without ``runs/``."""
    folder = folder.resolve()
    _check_records(folder)
    suites = RecipeBook().files("suites")
    found = []
    for path in sorted(folder.iterdir()):
        suite = path.name.removesuffix(_CURVES) if path.name.endswith(_CURVES) else path.stem
        if suite in suites and path.suffix in (*STYLE_OF, _FIGURE):
            found.append(Kept(path, suite))
        elif suite == _ALL_RUNS and path.suffix in STYLE_OF:
            found.append(Kept(path, ""))
    return found


def check(folder: Path) -> list[str]:
    """Make every generated file of a folder again in memory; returns their names, with what was not compared.

    Raises StoreError for the first that differs, with its first differing line, and where there is none at all.
    """
    kept = find_kept(folder)
    if not kept:
        raise StoreError(f"{folder} holds no generated table: 'ganbench table SUITE --write {folder}' makes them")
    tables: dict[str, SuiteTable] = {}
    names = {each.path.name for each in kept}
    checked = []
    for each in kept:
        there = each.path.read_bytes()
        if each.is_figure and (version := _drawn_by(there)) != _matplotlib():
            if f"{each.suite}{_CURVES}" not in names:
                raise StoreError(
                    f"{each.path} was drawn by Matplotlib {version}, not {_matplotlib()}, and {each.suite}{_CURVES} "
                    f"with its data is missing: 'ganbench table {each.suite} --write {folder}' makes both"
                )
            checked.append(f"{each.path.name} (by its data alone: it was drawn by Matplotlib {version})")
            continue
        made = each.made_from(tables)
        if made != there:
            raise StoreError(
                f"{each.path} is not what its records give, {_first_difference(there, made)}: "
                f"'ganbench table --write {folder}' makes it again"
            )
        checked.append(each.path.name)
    return checked


def write(folder: Path, suite: str | None = None) -> list[Path]:
    """Make the generated files of a folder again, or those of one suite for the first time; returns their paths.

    A suite gets its table as Markdown and CSV and, where its layout is curves, the figure and its data. Raises
    UsageError where the folder's name is no profile of the suite.
    """
    kept = find_kept(folder) if suite is None else _of_suite(folder, suite)
    if not kept:
        raise UsageError(f"{folder} holds no generated table yet: name the suite, as in 'table SUITE --write {folder}'")
    tables: dict[str, SuiteTable] = {}
    for each in kept:
        write_atomically(each.path, each.made_from(tables))
    return [each.path for each in kept]


def _check_records(folder: Path) -> None:
    """Refuse a folder whose records are not all of this version: its tables would be of a part of them."""
    if not (folder / "runs").is_dir():
        raise StoreError(f"{folder} holds no runs/: name a folder with the records and the tables made from them")
    foreign = load_runs(folder).foreign
    if foreign:
        raise StoreError(f"{len(foreign)} under runs/ cannot be read, so no table of them is whole: {foreign[0]}")


def _of_suite(folder: Path, name: str) -> Sequence[Kept]:
    folder = folder.resolve()
    _check_records(folder)
    suite = load_suite(RecipeBook(), name)
    endings = [".md", ".csv", *([_CURVES, _FIGURE] if suite.layout.kind == "curves" else [])]
    return [Kept(folder / f"{name}{ending}", name) for ending in endings]


def _drawn_by(svg: bytes) -> str:
    found = re.search(rb"Matplotlib v([0-9][^,<\s]*)", svg)
    return found[1].decode() if found else "an unknown version"


def _matplotlib() -> str:
    from importlib.metadata import version

    return version("matplotlib")


def _first_difference(there: bytes, made: bytes) -> str:
    """The first line in which two texts differ, of both."""
    old, new = (content.decode(errors="replace").splitlines() for content in (there, made))
    for number, (one, other) in enumerate(zip(old, new, strict=False), start=1):
        if one != other:
            return f"line {number}: it has '{_around(one, other)}' where they give '{_around(other, one)}'"
    return f"line {min(len(old), len(new)) + 1}: it has {len(old)} lines where they give {len(new)}"


def _around(line: str, other: str, width: int = 60) -> str:
    """The part of a line from a little before where it leaves the other."""
    same = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    start = max(0, same - width // 3)
    return ("..." if start else "") + line[start : start + width]
