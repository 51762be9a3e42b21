"""``ganbench sweep``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganbench.cli.executor_options import executor_options
from ganbench.cli.places_options import places_options
from ganbench.cli.spec_options import device_option, json_option, results_option
from ganbench.errors import DONE, FAILED

if TYPE_CHECKING:
    from ganbench.cli.executor_options import ChosenExecutor
    from ganbench.places import Places
    from ganbench.registry import Registry
    from ganbench.suites import PlannedRow, Suite
    from ganbench.sweep.executor import Executor
    from ganbench.sweep.sweep import Sweep

_PATH = click.Path(path_type=Path)


@click.command("sweep")
@click.argument("name", metavar="SUITE")
@click.option("--profile", default="quick", show_default=True, metavar="NAME", help="The suite's sizes and data.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Seeds 0 to N-1 of every row. [the suite's: 3]")
@click.option("--rows", multiple=True, metavar="ROW", help="This row only; repeatable, or several with commas.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Runs at a time. [as fit]")
@click.option("--retries", type=click.IntRange(min=0), default=2, show_default=True, metavar="N", help="Of what died.")
@click.option("--budget", metavar="AMOUNT", help="In place of the suite's: 2000steps, 64kimg.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="In every row, as TOML; repeatable.")
@click.option("--plugin", type=_PATH, multiple=True, metavar="FILE.py", help="Load components from a file.")
@click.option("--registry", type=_PATH, multiple=True, metavar="DIR", help="Further suites, recipes and papers.")
@device_option
@click.option("--deterministic", is_flag=True, help="Deterministic kernels only, so that a resume is exact on CUDA.")
@click.option("--dry-run", is_flag=True, help="Print what would be run and what it would cost; train nothing.")
@executor_options
@places_options
@results_option
@json_option
def command(
    name: str,
    profile: str,
    seeds: int | None,
    rows: tuple[str, ...],
    jobs: int | None,
    retries: int,
    budget: str | None,
    assignments: tuple[str, ...],
    plugin: tuple[Path, ...],
    registry: tuple[Path, ...],
    device: str,
    deterministic: bool,
    dry_run: bool,
    chosen: ChosenExecutor,
    places: Places,
    results: Path,
    as_json: bool,
) -> int:
    """Train every row of a SUITE with several seeds, on equal budgets, each in a process of its own.

    The same command passes over what is done and goes on with what is half done, from several terminals at once
    too. Other values of --jobs, or another machine, may change the last bits of a result. The runs are placed on
    this machine or, by --executor ray or slurm, on a cluster; 'ganbench list executor' shows all.
    Exit codes: 0 every run has a result, 1 some have not, 2 usage, 3 a plug-in, weights or data are missing,
    130 interrupted.
    """
    from ganbench.registry import Registry
    from ganbench.sweep.executor import Demand
    from ganbench.sweep.sweep import Sweep

    components = Registry.discover(plugin)
    suite, planned = _plan(name, profile, seeds, rows, budget, assignments, components, registry)
    sweep = Sweep(suite, profile, _with_data(planned, places, dry_run), results)
    executor = chosen.construct(components, Demand(len(sweep.runs), jobs, device, results.absolute()))
    for reason in sweep.foreign:
        click.echo(f"ganbench: warning: not a run, left alone: {reason}", err=True)
    for line in sweep.summary(executor.slots):
        click.echo(line, err=not dry_run or as_json)
    if not dry_run:
        _execute(sweep, executor, retries, plugin, _run_arguments(device, deterministic, places))
    if as_json:
        click.echo(json.dumps(sweep.describe()))
    elif not dry_run:
        for line in sweep.outcome():
            click.echo(line)
    return DONE if dry_run or all(run.done for run in sweep.runs) else FAILED


def _plan(
    name: str,
    profile: str,
    seeds: int | None,
    rows: tuple[str, ...],
    budget: str | None,
    assignments: tuple[str, ...],
    components: Registry,
    roots: tuple[Path, ...],
) -> tuple[Suite, list[PlannedRow]]:
    from ganbench.drafts import nest
    from ganbench.options import parse_assignment
    from ganbench.planning import plan
    from ganbench.recipes import RecipeBook
    from ganbench.suites import load_suite, select_rows

    book = RecipeBook(roots)
    suite = load_suite(book, name)
    wanted = [row for names in rows for row in names.split(",")]
    overrides = [nest(["budget"], budget)] if budget is not None else []
    overrides += [nest(*parse_assignment(text)) for text in assignments]
    planned = plan(
        suite,
        profile,
        components,
        book,
        range(seeds or suite.seeds),
        overrides,
        select_rows(suite, wanted),
    )
    for warning in dict.fromkeys(w for each in planned if each.resolved for w in each.resolved.warnings):
        click.echo(f"ganbench: warning: {warning}", err=True)
    return suite, planned


def _with_data(planned: list[PlannedRow], places: Places, dry_run: bool) -> list[PlannedRow]:
    """The plan with the data's fingerprints; a dry run goes without data that are not at hand."""
    from ganbench.errors import MissingError
    from ganbench.planning import with_data

    try:
        return with_data(planned, places, may_prepare=not dry_run)
    except MissingError as error:
        if not dry_run:
            raise
        click.echo(f"ganbench: warning: {error} What is done cannot be told without.", err=True)
        return planned


def _run_arguments(device: str, deterministic: bool, places: Places) -> tuple[str, ...]:
    """What every ``ganbench run`` of the sweep is given besides its spec, the results and the plug-ins."""
    return ("--device", device, *(["--deterministic"] if deterministic else []), *places.arguments())


def _execute(
    sweep: Sweep, executor: Executor, retries: int, plugins: tuple[Path, ...], arguments: tuple[str, ...]
) -> None:
    from ganbench.sweep.driver import Driver
    from ganbench.sweep.view import Overall, view_for_stderr

    view = view_for_stderr(Overall(sweep.runs, executor.slots, sweep.estimator))
    files = tuple(plugin.absolute() for plugin in plugins)
    Driver(executor, sweep.runs, arguments, retries, view, sweep.estimator, files).execute()
