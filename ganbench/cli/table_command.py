"""``ganbench table``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.spec_options import results_option
from ganbench.errors import UsageError

if TYPE_CHECKING:
    from ganbench.rendering import Document
    from ganbench.suite_table import SuiteTable

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FORMATS = ["text", "md", "csv", "latex", "html", "json"]


@click.command("table")
@click.argument("suite", required=False, metavar="[SUITE]")
@click.option("--profile", default="quick", show_default=True, metavar="NAME", help="Of the suite.")
@results_option
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Show this metric only; repeatable.")
@click.option("--best", is_flag=True, help="Compare the best checkpoints in place of the final generators.")
@click.option("--match", metavar="WHAT", help="Cut all runs at equal seconds, flops or images, or at 10min or 64kimg.")
@click.option("--budget", metavar="AMOUNT", help="Of the sweep, where it was given one.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="As the sweep was given; repeatable.")
@click.option("--plot", type=_FILE, metavar="FILE", help="Draw the curves over training into a .png or .svg.")
@click.option("--format", "style", type=click.Choice(_FORMATS), help="Text, or what --out's ending says.")
@click.option("--json", "style", flag_value="json", help="The same as --format json.")
@click.option("--out", type=_FILE, metavar="FILE", help="Write the table there.")
@click.option("--check", type=_FOLDER, metavar="DIR", help="Compare a folder's tables with what its records give.")
@click.option("--write", type=_FOLDER, metavar="DIR", help="Make a folder's tables from its records.")
@click.option("--plugin", type=click.Path(path_type=Path), multiple=True, metavar="FILE.py", help="Load a file first.")
@click.option("--registry", type=click.Path(path_type=Path), multiple=True, metavar="DIR", help="Further suites.")
@click.pass_context
def command(context: click.Context, /, suite: str | None, check: Path | None, write: Path | None, **asked: Any) -> None:
    """Print the table of a SUITE, the published numbers beside ours; without one, all results.

    Of all results only rows of one group (one protocol, one budget) are ranked with each other; a suite's runs
    have to be one group. csv and json hold every column in full precision, the other formats the short form.
    """
    if check is not None or write is not None:
        _keep(context, suite, check, write)
        return
    _refuse_without_suite(context, suite)
    table = _load(suite, **asked) if suite else None
    document = _document(table) if table else _all_results(asked["results"], asked["metrics"])
    from ganbench.rendering import render

    style, out = asked["style"], asked["out"]
    _tell(render(document, style or _style_of(out)), out)


def _keep(context: click.Context, suite: str | None, check: Path | None, write: Path | None) -> None:
    """``--check`` and ``--write``: the folder's name is the profile, and the records alone decide."""
    from ganbench import committed

    beside = [name for name in context.params if name not in ("suite", "check", "write") and _given(context, name)]
    if beside or (check and (write or suite)):
        extra = _flag(context, beside[0]) if beside else "SUITE" if suite else "--write"
        raise UsageError(f"--{'check' if check else 'write'} takes the folder as it is: leave out {extra}")
    if check:
        for line in committed.check(check):
            click.echo(f"as its records give: {line}")
    elif write:
        for path in committed.write(write, suite):
            click.echo(path)


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _flag(context: click.Context, name: str) -> str:
    return next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)


def _refuse_without_suite(context: click.Context, suite: str | None) -> None:
    if suite is None:
        for name in ("profile", "best", "match", "budget", "assignments", "plot", "plugin", "registry"):
            if _given(context, name):
                raise UsageError(
                    f"{_flag(context, name)} is of a suite's table: name one, as in 'ganbench table sagan-table1'"
                )


def _load(
    suite: str,
    *,
    profile: str,
    results: Path,
    metrics: tuple[str, ...],
    best: bool,
    match: str | None,
    budget: str | None,
    assignments: tuple[str, ...],
    plot: Path | None,
    plugin: tuple[Path, ...],
    registry: tuple[Path, ...],
    **_: Any,
) -> SuiteTable:
    from ganbench.drafts import nest
    from ganbench.options import parse_assignment
    from ganbench.plots import check_suffix, draw
    from ganbench.store import write_atomically
    from ganbench.suite_table import load_table

    if plot is not None:
        check_suffix(plot)
    overrides = [nest(*parse_assignment(text)) for text in assignments] + ([{"budget": budget}] if budget else [])
    table = load_table(
        suite,
        results,
        profile,
        metrics=metrics,
        scores="best" if best else "final",
        match=match,
        overrides=overrides,
        plugins=plugin,
        roots=registry,
    )
    if plot is not None:
        write_atomically(plot, draw(table, plot.suffix))
        click.echo(f"drawn: {plot}", err=True)
    return table


def _document(table: SuiteTable) -> Document:
    from ganbench.suite_document import suite_document

    return suite_document(table)


def _all_results(results: Path, metrics: tuple[str, ...]) -> Document:
    from ganbench.errors import unknown
    from ganbench.store import load_runs
    from ganbench.tables import DEFAULT_METRICS, results_document, results_frame

    for metric in metrics:
        if metric not in DEFAULT_METRICS:
            raise UsageError(unknown("metric", metric, DEFAULT_METRICS))
    return results_document(results_frame(load_runs(results), metrics or None))


def _style_of(out: Path | None) -> str:
    from ganbench.committed import STYLE_OF

    return STYLE_OF.get(out.suffix, "text") if out else "text"


def _tell(rendered: str, out: Path | None) -> None:
    if out is None:
        click.echo(rendered)
        return
    from ganbench.store import write_atomically

    write_atomically(out, f"{rendered}\n".encode())
    click.echo(f"written: {out}", err=True)
