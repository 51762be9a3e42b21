"""``ganbench table``."""

from __future__ import annotations

from pathlib import Path

import click

from ganbench.cli.spec_options import results_option


@click.command("table")
@results_option
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "md", "csv", "latex", "html", "json"]),
    default="text",
    show_default=True,
    help="csv and json hold every column, the others the short form.",
)
@click.option("--json", "style", flag_value="json", help="The same as --format json.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Show this metric only; repeatable.")
def command(results: Path, style: str, metrics: tuple[str, ...]) -> None:
    """Print all results: a row per configuration, seeds as n, mean and standard deviation.

    Only rows of one group (one protocol, one budget) are ranked with each other.
    """
    from ganbench.errors import UsageError, unknown
    from ganbench.rendering import render
    from ganbench.store import load_runs
    from ganbench.tables import DEFAULT_METRICS, results_document, results_frame

    for metric in metrics:
        if metric not in DEFAULT_METRICS:
            raise UsageError(unknown("metric", metric, DEFAULT_METRICS))
    click.echo(render(results_document(results_frame(load_runs(results), metrics or None)), style))
