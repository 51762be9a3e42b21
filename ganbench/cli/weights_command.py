"""``ganbench weights``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.spec_options import json_option
from ganbench.published import INCEPTION

if TYPE_CHECKING:
    from ganbench.places import Places
    from ganbench.weights import State

_FOLDER = click.Path(path_type=Path, file_okay=False)


def _folder_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--weights-dir``."""
    about = "The folder. [GANBENCH_WEIGHTS, else weights in the cache]"
    return click.option("--weights-dir", type=_FOLDER, metavar="DIR", help=about)(command)


def _plugin_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--plugin``."""
    path = click.Path(path_type=Path)
    return click.option("--plugin", type=path, multiple=True, metavar="FILE.py", help="Load a file first.")(command)


def _unverified_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--allow-unverified-weights``."""
    about = "Take a file that is not the published one."
    return click.option("--allow-unverified-weights", "unverified", is_flag=True, help=about)(command)


def _places(folder: Path | None, unverified: bool = False) -> Places:
    from ganbench.places import Places

    places = Places(unverified_weights=unverified)
    return places if folder is None else replace(places, weights=folder)


@click.group("weights", epilog="\b\nInception, either of:\n" + "\n".join(f"  {each.url}" for each in INCEPTION))
def command() -> None:
    """List, check and add the weight files of extractors. Each command takes --json.

    None is shipped and none is downloaded: fetch a file once from the address that 'weights list' shows, and
    hand it over with 'weights add'. Its size and sha256 are checked then and on every use, before it is loaded.
    """


@command.command("list")
@_folder_option
@_plugin_option
@json_option
def list_weights(weights_dir: Path | None, plugin: tuple[Path, ...], as_json: bool) -> None:
    """All weight files that an extractor takes: whether they are at hand and right, and where they come from."""
    from ganbench.registry import Registry
    from ganbench.weights import known_weights, survey

    places = _places(weights_dir)
    states = survey(known_weights(Registry.discover(plugin)), places)
    if as_json:
        _print_json([_row(state) for state in states])
        return
    click.echo(f"weights in {places.weights}\n")
    for state in states:
        size = f", {state.published.size:,} bytes" if state.published.size else ""
        click.echo(f"{state.state:<14}{state.published.file}{size}")
        indent = " " * 14
        if state.fault:
            click.echo(f"{indent}{state.fault}")
        click.echo(f"{indent}for {', '.join(state.extractors)}")
        click.echo(f"{indent}{state.published.url}")
        click.echo(f"{indent}sha256 {state.published.sha256 or 'not published'}")


@command.command("add")
@click.argument("file", type=click.Path(path_type=Path))
@_folder_option
@_plugin_option
@_unverified_option
@json_option
def add_weights(
    file: Path, weights_dir: Path | None, plugin: tuple[Path, ...], unverified: bool, as_json: bool
) -> None:
    """Check FILE and copy it to the folder of weights. It is known by its sha256, whatever its name."""
    from ganbench.registry import Registry
    from ganbench.weights import add, known_weights

    known = [each for files in known_weights(Registry.discover(plugin)).values() for each in files]
    added = add(file, known, _places(weights_dir, unverified))
    if as_json:
        _print_json({"path": str(added.path), "sha256": added.sha256, "verified": added.verified})
    else:
        click.echo(f"{added.path}: {'the published file' if added.verified else f'unverified, sha256 {added.sha256}'}")


@command.command("path")
@click.argument("name", required=False)
@_folder_option
@_plugin_option
@_unverified_option
@json_option
def weights_path(
    name: str | None, weights_dir: Path | None, plugin: tuple[Path, ...], unverified: bool, as_json: bool
) -> None:
    """The folder of weights, or the file in it that the extractor NAME, or the file NAME, stands for.

    The file is checked as before a use: exits with 3 where it is absent or wrong.
    """
    places = _places(weights_dir, unverified)
    if name is None:
        _print_json({"path": str(places.weights)}) if as_json else click.echo(places.weights)
        return
    from ganbench.errors import UsageError, unknown
    from ganbench.registry import Registry
    from ganbench.weights import find, known_weights

    known = known_weights(Registry.discover(plugin))
    named = dict(known) | {each.file: (each,) for files in known.values() for each in files}
    if name not in named:
        raise UsageError(unknown("extractor or weight file", name, named, "'ganbench weights list' shows all."))
    found = find(name, named[name], places)
    if as_json:
        _print_json({"path": str(found.path), "sha256": found.sha256, "verified": found.verified})
    else:
        click.echo(found.path)


def _row(state: State) -> dict[str, Any]:
    return {
        "file": state.published.file,
        "extractors": state.extractors,
        "state": state.state,
        "fault": state.fault,
        "path": str(state.path),
        "url": state.published.url,
        "sha256": state.published.sha256,
        "bytes": state.published.size,
    }


def _print_json(document: Any) -> None:
    import json

    click.echo(json.dumps(document))
