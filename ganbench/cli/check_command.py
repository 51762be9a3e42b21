"""``ganbench check``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ganbench.cli.spec_options import json_option
from ganbench.errors import DONE, FAILED


@click.command("check")
@click.argument("kind")
@click.argument("name")
@click.option("--set", "assignments", multiple=True, metavar="OPTION=VALUE", help="An option of the part; repeatable.")
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave out a check, by its name; repeatable.")
@click.option("--plugin", type=click.Path(path_type=Path), multiple=True, metavar="FILE.py", help="Load a file first.")
@json_option
def command(
    kind: str,
    name: str,
    assignments: tuple[str, ...],
    skip: tuple[str, ...],
    plugin: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Check that the component NAME of a KIND does what its kind must, and print what it costs.

    Exits with 1 where a check fails; each failure says what was expected, what was seen and the likely cause.
    """
    from ganbench.conformance import check_entry
    from ganbench.conformance.report import jsonable
    from ganbench.drafts import merge, nest
    from ganbench.options import parse_assignment
    from ganbench.registry import Registry

    options: dict[str, object] = {}
    for text in assignments:
        options = merge(options, nest(*parse_assignment(text)))
    report = check_entry(Registry.discover(plugin).find(kind, name), options, skip)
    click.echo(json.dumps(jsonable(report)) if as_json else str(report))
    return DONE if report.passed else FAILED
