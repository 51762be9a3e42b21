"""The options that say which generator is meant, shared by the commands that draw from one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from ganbench.cli.spec_options import results_option


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command SOURCE and the options of a generator; it receives ``wanted: WantedGenerator``."""

    def opened(
        source: str,
        results: Path,
        plugin: tuple[Path, ...],
        checkpoint: str | None,
        weights: Literal["ema", "raw"] | None,
        latent_dim: int | None,
        classes: int | None,
        **values: Any,
    ) -> Any:
        from ganbench.evaluate.sources.generators import WantedGenerator

        wanted = WantedGenerator(source, results, plugin, checkpoint, weights, latent_dim, classes)
        return command(wanted=wanted, **values)

    with_source: Callable[..., Any] = functools.wraps(command)(opened)
    file = click.Path(path_type=Path)
    at_least = {least: click.IntRange(min=least) for least in (0, 1)}
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.argument("source", metavar="SOURCE"),
        click.option("--checkpoint", metavar="WHICH", help="Of a run: final (the default), best, or a step."),
        click.option(
            "--weights", type=click.Choice(["ema", "raw"]), help="Of a run; by default those that it is scored by."
        ),
        click.option("--latent-dim", type=at_least[1], metavar="N", help="Of module:callable, else its own, else 128."),
        click.option("--classes", type=at_least[0], metavar="N", help="Of module:callable, else its own, else 0."),
        click.option("--plugin", type=file, multiple=True, metavar="FILE.py", help="Load components from a file."),
        results_option,
    ]
    for option in reversed(options):
        with_source = option(with_source)
    return with_source
