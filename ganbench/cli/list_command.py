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

MODEL = "model"


@click.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
@click.option("--plugin", type=click.Path(path_type=Path), multiple=True, metavar="FILE.py", help="Load a file first.")
@click.option("--registry", type=click.Path(path_type=Path), multiple=True, metavar="DIR", help="Further recipes.")
@json_option
def command(kind: str | None, plugin: tuple[Path, ...], registry: tuple[Path, ...], as_json: bool) -> None:
    """List models, or the components of a KIND, or everything.

    Built-in components are not imported for this; those of other distributions are, to mark the broken.
    """
    if kind not in (None, MODEL, *KINDS):
        raise UsageError(unknown("kind", str(kind), [MODEL, *KINDS]))
    components, rows = Registry.discover(plugin), []
    if kind in (None, MODEL):
        book = RecipeBook(registry)
        for name in book.recipe_names:
            recipe = book.recipe(name)
            rows.append(
                {
                    "kind": MODEL,
                    "name": name,
                    "provider": str(recipe.path),
                    "status": "",
                    "about": recipe.description,
                }
            )
    for each in KINDS if kind is None else [kind] if kind != MODEL else []:
        rows += [_component_row(entry) for entry in components.entries(each)]
    if as_json:
        click.echo(json.dumps(rows))
        return
    _print_rows(rows)


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
        provider = Path(row["provider"]).name if row["kind"] == MODEL else row["provider"]
        table.add_row(row["kind"], row["name"], provider, shown)
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(console.width, 110)
    console.print(table)
