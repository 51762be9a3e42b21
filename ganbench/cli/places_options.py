"""The options that say where data and weights lie, shared by the commands that need them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)


def places_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options; it receives ``places: Places`` in their place."""

    @functools.wraps(command)
    def with_places(
        data_root: Path | None,
        weights_dir: Path | None,
        download: bool,
        skip_broken: bool,
        allow_unverified_weights: bool,
        **values: Any,
    ) -> Any:
        from ganbench.places import Places

        given = {"data": data_root, "weights": weights_dir}
        places = Places(
            **{name: path for name, path in given.items() if path is not None},
            download=download,
            skip_broken=skip_broken,
            unverified_weights=allow_unverified_weights,
        )
        return command(places=places, **values)

    options = [
        click.option("--data-root", type=_FOLDER, metavar="DIR", help="Data sets. [GANBENCH_DATA, else data]"),
        click.option("--weights-dir", type=_FOLDER, metavar="DIR", help="Extractors' weights. [GANBENCH_WEIGHTS]"),
        click.option("--download", is_flag=True, help="Download the data set where it is absent."),
        click.option("--skip-broken", is_flag=True, help="Go on without images that cannot be read; they are named."),
        click.option("--allow-unverified-weights", is_flag=True, help="Load weights that are not the published ones."),
    ]
    for option in reversed(options):
        with_places = option(with_places)
    return with_places
