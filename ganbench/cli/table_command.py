"""``ganbench table``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganbench.cli.spec_options import results_option

if TYPE_CHECKING:
    import pandas as pd


@click.command("table")
@results_option
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "md", "csv", "latex", "json"]),
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
    from ganbench.store import load_runs
    from ganbench.tables import DEFAULT_METRICS, results_frame

    for metric in metrics:
        if metric not in DEFAULT_METRICS:
            raise UsageError(unknown("metric", metric, DEFAULT_METRICS))
    frame = results_frame(load_runs(results), metrics or None)
    if style in ("csv", "json"):
        click.echo(_to_csv(frame) if style == "csv" else _to_json(frame))
        return
    for line in frame.attrs["groups"]:
        click.echo(line)
    click.echo()
    click.echo(_to_text(frame, style))
    for note in frame.attrs["notes"]:
        click.echo(f"\nnote: {note}")


def _to_text(frame: pd.DataFrame, style: str) -> str:
    import pandas as pd

    from ganbench.tables import short_frame

    if frame.empty:
        return "no runs yet: 'ganbench run --model sagan' makes one"
    shown = short_frame(frame).reset_index()
    shown["rank"] = ["" if pd.isna(rank) else str(rank) for rank in shown["rank"]]
    if style == "latex":
        styler = shown.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
        latex = str(styler.to_latex(hrules=True))
        return latex.replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$").replace("±", r"$\pm$")
    if style == "md":
        return str(shown.to_markdown(index=False, disable_numparse=True))
    return shown.to_string(index=False)


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Two levels of columns as ``metric.mean``, the index as columns."""
    flat = frame.copy()
    flat.columns = [".".join(column) for column in frame.columns]
    return flat.reset_index()


def _to_csv(frame: pd.DataFrame) -> str:
    return str(_flat(frame).to_csv(index=False)).rstrip("\n")


def _to_json(frame: pd.DataFrame) -> str:
    import pandas as pd

    from ganbench.store import jsonable

    rows = [
        {key: None if pd.isna(value) else jsonable(value) for key, value in row.items()}
        for row in _flat(frame).astype(object).to_dict("records")
    ]
    return json.dumps({"groups": frame.attrs["groups"], "notes": frame.attrs["notes"], "rows": rows})
