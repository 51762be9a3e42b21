"""``ganbench data``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.places_options import places_options
from ganbench.cli.spec_options import json_option
from ganbench.errors import DONE, MissingError, UsageError

if TYPE_CHECKING:
    from ganbench.places import Places
    from ganbench.prepare.wanted import Wanted
    from ganbench.registry import Entry

_PLUGIN = click.option(
    "--plugin", type=click.Path(path_type=Path), multiple=True, metavar="FILE.py", help="Load a file first."
)


@click.group("data")
def command() -> None:
    """List, show, prepare and verify data sets; each of these takes --json."""


def _one_set(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name one data set at one resolution."""
    options: list[Callable[..., Any]] = [
        click.argument("name"),
        click.option("--resolution", type=click.IntRange(min=1), required=True, metavar="PX", help="Image size."),
        click.option(
            "--set", "assignments", multiple=True, metavar="dataset.OPTION=VALUE", help="An option; repeatable."
        ),
        _PLUGIN,
        places_options,
        json_option,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _named(name: str, assignments: tuple[str, ...], plugin: tuple[Path, ...]) -> tuple[Entry, dict[str, Any]]:
    """The data set's entry and all its options."""
    from ganbench.drafts import merge, nest
    from ganbench.options import parse_assignment, resolve_options
    from ganbench.registry import Registry

    given: dict[str, Any] = {}
    for text in assignments:
        given = merge(given, nest(*parse_assignment(text)))
    if given.keys() - {"dataset"} or not isinstance(given.get("dataset", {}), dict):
        raise UsageError("--set takes options of the data set here, as in --set dataset.path=flowers")
    entry = Registry.discover(plugin).find("dataset", name)
    return entry, resolve_options(entry.load(), given.get("dataset", {}), "dataset")


def _wanted(entry: Entry, options: dict[str, Any], resolution: int, places: Places) -> Wanted:
    from ganbench.prepare.wanted import find
    from ganbench.sources import card_of

    if card_of(entry.load()) is None:
        raise UsageError(f"{entry.name} makes its images itself: there is nothing to prepare or to verify")
    return find(entry, options, resolution, places)


@command.command("prepare")
@_one_set
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes that decode. [as is worth it]")
def prepare_command(
    name: str,
    resolution: int,
    assignments: tuple[str, ...],
    plugin: tuple[Path, ...],
    places: Places,
    workers: int | None,
    as_json: bool,
) -> int:
    """Make all images of the data set NAME at one resolution, once, and keep them in the cache.

    Stopped at any moment, the same command goes on. Images that cannot be read are named, and the set is used
    only with --skip-broken then (exit code 3).
    """
    from ganbench.prepare.preparation import prepare, refuse_broken
    from ganbench.train import Interrupted

    entry, options = _named(name, assignments, plugin)
    wanted = _wanted(entry, options, resolution, places)
    try:
        manifest = prepare(wanted, workers)
    except KeyboardInterrupt:
        raise Interrupted("interrupted: the same command goes on behind the last whole chunk") from None
    refuse_broken(wanted, manifest)
    _print_set({"folder": str(wanted.folder), **manifest.model_dump(mode="json")}, as_json)
    return DONE


@command.command("verify")
@_one_set
def verify_command(
    name: str,
    resolution: int,
    assignments: tuple[str, ...],
    plugin: tuple[Path, ...],
    places: Places,
    as_json: bool,
) -> int:
    """Compare every byte of a prepared set with what was written; exits with 3 where one differs."""
    from ganbench.prepare.manifest import read_manifest, write_stamp
    from ganbench.prepare.preparation import check

    wanted = _wanted(*_named(name, assignments, plugin), resolution, places)
    manifest = read_manifest(wanted.folder)
    if manifest is None:
        raise MissingError(f"{name} is not prepared at {resolution} px: prepare it with '{wanted.command}'")
    check(wanted, manifest)
    write_stamp(wanted.folder, manifest)
    if as_json:
        click.echo(
            json.dumps({"folder": str(wanted.folder), "content_sha256": manifest.content_sha256, "verified": True})
        )
    else:
        click.echo(f"{wanted.folder}: every byte as prepared, content {manifest.content_sha256[:12]}")
    return DONE


@command.command("info")
@_one_set
@click.option("--grid", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png", help="Draw some images.")
def info_command(
    name: str,
    resolution: int,
    assignments: tuple[str, ...],
    plugin: tuple[Path, ...],
    places: Places,
    grid: Path | None,
    as_json: bool,
) -> int:
    """Show a data set at one resolution: splits, classes, fingerprint, how its images were made.

    A small one is prepared for that; a large one must have been.
    """
    from ganbench.cli.data_description import describe, write_grid
    from ganbench.loading import load_images
    from ganbench.spec import DatasetChoice

    entry, options = _named(name, assignments, plugin)
    choice = DatasetChoice(name=entry.name, provider=entry.identity, options=options)
    data = load_images(entry, choice, resolution, places)
    if grid is not None:
        write_grid(grid, data)
    _print_set(describe(entry, options, resolution, places, data), as_json)
    return DONE


def _print_set(description: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(description, sort_keys=True))
        return
    where = description["folder"] or "made in memory"
    click.echo(f"{description['dataset']} at {description['resolution']} px: {where}")
    for role, split in sorted(description["splits"].items(), reverse=True):
        left_out = f", {len(split['broken'])} that cannot be read left out" if split["broken"] else ""
        click.echo(f"{role.replace('_', ' '):<10}{split['count']:,} images, called '{split['name']}'{left_out}")
    classes = description["classes"]
    shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    click.echo(f"{'classes':<10}{len(classes)}{f': {shown}' if classes else ''}")
    click.echo(f"{'content':<10}{description['content_sha256']}")
    click.echo(f"{'rule':<10}{description['rule']}")
    for note in description["notes"]:
        click.echo(f"{'note':<10}{note}")


@command.command("list")
@_PLUGIN
@places_options
@json_option
def list_command(plugin: tuple[Path, ...], places: Places, as_json: bool) -> None:
    """List all data sets: whether they are at hand, where they are looked for, what is prepared of them."""
    from ganbench.cli.data_description import rows
    from ganbench.registry import Registry

    found = rows(Registry.discover(plugin).entries("dataset"), places)
    if as_json:
        click.echo(json.dumps(found))
        return
    for row in found:
        click.echo(f"{row['name']:<14}{row['status']:<9}{row['about']}")
        if row["status"] == "absent":
            click.echo(f"{'':<23}looked for {row['looked_for']}; get it from {row['get']}")
        for each in row["prepared"]:
            state = f"{each['bytes'] / 1e6:,.1f} MB" if each["finished"] else "unfinished"
            click.echo(f"{'':<23}prepared: {each['folder']}, {state}")
