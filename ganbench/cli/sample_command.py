"""``ganbench sample``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ganbench.cli.source_options import source_options
from ganbench.cli.spec_options import device_option, json_option

if TYPE_CHECKING:
    from ganbench.evaluate.sources.generators import WantedGenerator


@click.command("sample")
@source_options
@device_option
@click.option("-n", "--count", type=click.IntRange(min=1), required=True, metavar="N", help="How many.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="PATH", help="DIR, FILE.npz or FILE.png."
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["png", "npz", "grid"]),
    help="Whatever --out is called: a folder of PNGs, an array, or one PNG.",
)
@click.option("--class", "which", type=click.IntRange(min=0), metavar="K", help="Of this class alone.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", help="Of all draws.  [default: the run's]")
@click.option(
    "--truncation",
    type=click.FloatRange(0, min_open=True),
    metavar="T",
    help="Draw latents beyond T again.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="Images at a time."
)
@json_option
def command(
    wanted: WantedGenerator,
    device: str,
    count: int,
    out: Path,
    kind: Literal["png", "npz", "grid"] | None,
    which: int | None,
    seed: int | None,
    truncation: float | None,
    batch: int,
    as_json: bool,
) -> None:
    """Write images of a run, or of a generator of your own.

    SOURCE is a run, by its folder or the first letters of its id, or module:callable: a generator g(z, y) with
    values in [-1, 1], or what makes one. The same seed gives the same images, and the first of more.
    """
    from ganbench.environment import choose_device
    from ganbench.evaluate.bank import sample_bank
    from ganbench.evaluate.sources.generators import class_labels
    from ganbench.evaluate.watched import WatchedGenerator
    from ganbench.random import isolated
    from ganbench.sample_files import check_free, format_of, write_samples

    chosen = choose_device(device)
    kind = kind or format_of(out)
    check_free(out, kind, count)
    generator = wanted.open(chosen)
    seed = generator.seed if seed is None else seed
    with isolated(seed, "sample"):
        bank = sample_bank(
            WatchedGenerator(generator.network, "samples", count, lambda message: click.echo(message, err=True)),
            count=count,
            latent_dim=generator.latent_dim,
            num_classes=generator.num_classes,
            seed=seed,
            stream="sample",
            batch=batch,
            device=chosen,
            truncation=truncation,
            labels=class_labels(generator, which, count),
        )
    write_samples(out, kind, bank)
    if as_json:
        described = {"path": str(out), "format": kind, "source": generator.facts, "count": count}
        click.echo(json.dumps({**described, "seed": seed, "class": which, "truncation": truncation}, sort_keys=True))
    else:
        click.echo(f"{count} images of {generator.name}: {out}")
