"""``ganbench list``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ganbench.cli.spec_options import json_option
from ganbench.errors import MissingError, UsageError, unknown
from ganbench.recipes import RecipeBook
from ganbench.registry import KINDS, Entry, Registry

FILES = ("model", "suite", "paper")
"""What is listed besides components: files of registry/."""


@click.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
@click.option("--plugin", type=click.Path(path_type=Path), multiple=True, metavar="FILE.py", help="Load a file first.")
@click.option("--registry", type=click.Path(path_type=Path), multiple=True, metavar="DIR", help="Further recipes.")
@json_option
def command(kind: str | None, plugin: tuple[Path, ...], registry: tuple[Path, ...], as_json: bool) -> None:
    """List models, suites or papers, or the components of a KIND, or everything.

    Built-in components are not imported for this; those of other distributions are, to mark the broken.
    """
    if kind not in (None, *FILES, *KINDS):
        raise UsageError(unknown("kind", str(kind), [*FILES, *KINDS]))
    components, book, rows = Registry.discover(plugin), RecipeBook(registry), []
    for each in (*FILES, *KINDS) if kind is None else [kind]:
        if each in FILES:
            rows += _file_rows(each, book)
        else:
            rows += [_component_row(entry) for entry in components.entries(each)]
    if as_json:
        click.echo(json.dumps(rows))
        return
    _print_rows(rows)


def _file_rows(kind: str, book: RecipeBook) -> list[dict[str, Any]]:
    """A row for each recipe, suite or paper."""
    from ganbench.papers import load_paper
    from ganbench.suites import load_suite

    if kind == "model":
        recipes = [book.recipe(name) for name in book.recipe_names]
        found = [(recipe.name, recipe.path, recipe.description) for recipe in recipes]
    elif kind == "suite":
        suites = [load_suite(book, name) for name in sorted(book.files("suites"))]
        found = [(suite.name, suite.path, suite.description) for suite in suites]
    else:
        papers = [load_paper(book, name) for name in sorted(book.files("papers"))]
        found = [(paper.name, paper.path, paper.title) for paper in papers]
    return [
        {"kind": kind, "name": name, "provider": str(path), "status": "", "about": about} for name, path, about in found
    ]


def _component_row(entry: Entry) -> dict[str, Any]:
    status = "ok"
    if not entry.built_in:
        try:
            entry.load()
        except MissingError as error:
            status = f"broken: {error}"
    return {
        "kind": entry.kind,
        "name": entry.name,
        "provider": f"{entry.provider} {entry.version[:12]}".strip(),
        "status": status,
        "about": entry.target,
    }


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("kind", "name", "provider", "", box=box.SIMPLE)
    for row in rows:
        shown = row["status"] if row["status"].startswith("broken") else row["about"]
        provider = Path(row["provider"]).name if row["kind"] in FILES else row["provider"]
        table.add_row(row["kind"], row["name"], provider, shown)
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, 110)
    console.print(table)
