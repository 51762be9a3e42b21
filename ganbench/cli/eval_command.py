"""``ganbench eval``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.places_options import places_options
from ganbench.cli.source_options import source_options
from ganbench.cli.spec_options import device_option, json_option

if TYPE_CHECKING:
    from ganbench.evaluate.sources.generators import WantedGenerator
    from ganbench.places import Places

FAMILIES = ("isc", "fid", "clean-fid", "kid", "prc", "intra-fid")
"""As in :data:`ganbench.spec.MetricFamily`, here so that help imports nothing."""


@click.command("eval")
@source_options
@click.option("--against", metavar="WHAT", help="The reference: a data set, or a folder, zip or .npz of images.")
@click.option("--extractor", metavar="NAME", help="The network that judges: a run's own, else inception.")
@click.option("--samples", type=click.IntRange(min=2), metavar="N", help="How many, of a generator or out of a folder.")
@click.option("--metric", "metrics", type=click.Choice(FAMILIES), multiple=True, help="Of these alone; repeatable.")
@click.option("--repeats", type=click.IntRange(min=1), default=1, metavar="K", help="Score K sets of samples.")
@click.option("--crosscheck", is_flag=True, help="Hold the scores to both libraries' own functions.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="evaluation.KEY, or dataset.KEY of the data set that --against names; repeatable.",
)
@device_option
@places_options
@json_option
def command(
    wanted: WantedGenerator,
    against: str | None,
    extractor: str | None,
    samples: int | None,
    metrics: tuple[str, ...],
    repeats: int,
    crosscheck: bool,
    assignments: tuple[str, ...],
    device: str,
    places: Places,
    as_json: bool,
) -> None:
    """Score a run, a folder of images, or a generator of your own.

    SOURCE is a run, by its folder or the first letters of its id; a folder, a .zip or an .npz (arr_0) of images;
    or module:callable: a generator g(z, y) with values in [-1, 1], or what makes one. A run is scored under its
    own protocol against its own data unless other options are given, and keeps the record in evaluations/.
    """
    from ganbench.environment import choose_device
    from ganbench.evaluate.requests import asked_draft
    from ganbench.evaluate.rescore import Request, evaluate

    flags = {"extractor": extractor, "samples": samples, "metrics": list(metrics)}
    asked = asked_draft(flags, assignments)
    chosen = choose_device(device)
    record = evaluate(Request(wanted, against, asked, repeats, crosscheck, places, chosen, _say))
    if as_json:
        from ganbench.store import jsonable

        click.echo(json.dumps(jsonable(record), sort_keys=True))
    else:
        _print(record)


def _say(message: str) -> None:
    click.echo(message, err=True)


def _print(record: dict[str, Any]) -> None:
    source, protocol = record["source"], record["protocol"]
    click.echo(", ".join(f"{key} {_short(value)}" for key, value in source.items()))
    reference = protocol["reference"]
    split = f" {reference['split']}" if "split" in reference else ""
    click.echo(f"against {reference['count']} {reference['name']}{split}, judged by {protocol['extractor']['name']}")
    resampled = record.get("resampling")
    head = f"{'':<22}{'score':>12}"
    if resampled:
        head += f"{'mean of ' + str(resampled['repeats']):>14}{'resampling ±':>15}"
    click.echo(head)
    for name, value in record["scores"].items():
        more = f"{resampled['mean'][name]:>14.4g}{resampled['std'][name]:>15.2g}" if resampled else ""
        click.echo(f"{name:<22}{value:>12.4g}{more}")
    seconds = sum(record["seconds"].values())
    click.echo(f"n {record['n']}; {seconds:.1f} s; protocol {record['protocol_id'][:12]}")
    if record["crosschecked"]:
        click.echo("both libraries' own functions give the same within 1e-4")
    if resampled:
        click.echo("resampling ±: over sets of samples of this one generator; training seeds differ by more")
    if record["path"]:
        click.echo(f"kept in {record['path']}")


def _short(value: object) -> str:
    """A hash by its beginning."""
    text = str(value)
    return text[:12] if len(text) == 64 else text
