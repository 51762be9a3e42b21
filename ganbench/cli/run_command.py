"""``ganbench run``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli import note, rank_here
from ganbench.cli.places_options import places_options
from ganbench.cli.spec_options import compile_option, device_option, json_option, results_option, spec_options
from ganbench.errors import DIVERGED, DONE

if TYPE_CHECKING:
    import torch

    from ganbench.data import ImageData
    from ganbench.places import Places
    from ganbench.resolve import Resolved
    from ganbench.store import RunFolder


@click.command("run")
@spec_options
@places_options
@results_option
@device_option
@click.option("--deterministic", is_flag=True, help="Deterministic kernels only, so that a resume is exact on CUDA.")
@click.option(
    "--max-restarts",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Of all ranks, when one of several is lost.",
)
@compile_option
@click.option("--dry-run", is_flag=True, help="Print the resolved spec and its run id; train nothing.")
@json_option
def command(
    resolved: Resolved,
    places: Places,
    results: Path,
    device: str,
    deterministic: bool,
    max_restarts: int,
    compiled: bool | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train one model to the end of its budget, score it and keep the result.

    The same command goes on with a run that was stopped and returns the result of one that is done.
    Exit codes: 0 done, 1 failed, 2 usage, 3 a plug-in, weights or data are missing, 4 diverged, 130 interrupted.
    """
    if dry_run:
        from ganbench.cli.show_command import describe_spec, print_spec

        print_spec(describe_spec(resolved, places, with_parameters=False), as_json)
        return DONE
    from ganbench.environment import choose_device
    from ganbench.loading import load_data
    from ganbench.ranks import launched
    from ganbench.store import RunFolder

    chosen = choose_device(device, resolved.spec.world)
    spec, data = load_data(resolved, places)
    if data.held_out is None:
        from ganbench.sources import ALONE

        note(f"note: of {spec.dataset.name} {ALONE}")
    folder = RunFolder(results, spec)
    result = None if launched() else folder.finished()  # of several ranks the first looks, for all
    if result is None:
        from ganbench.networks import check_networks
        from ganbench.precision import check_precision
        from ganbench.shareable import check_shareable

        check_precision(spec.precision, chosen)
        check_networks(spec, resolved.entries)
        check_shareable(spec, resolved.entries, chosen)
        if spec.world > 1 and not launched():
            del data  # every rank has its own
            return _launch(spec.world, max_restarts)
        result = _train(folder, data, resolved, chosen, places, deterministic, compiled)
    if rank_here() == 0:
        _tell(result, folder, as_json)
    return DIVERGED if result is not None and result["status"] == "diverged" else DONE


def _launch(world: int, max_restarts: int) -> int:
    """This very command as so many ranks; returns the exit code of the first."""
    from ganbench.launch import launch

    return launch(
        click.get_current_context().obj, world, max_restarts, lambda m: click.echo(f"ganbench: {m}", err=True)
    )


def _train(
    folder: RunFolder,
    data: ImageData,
    resolved: Resolved,
    device: torch.device,
    places: Places,
    deterministic: bool,
    compiled: bool | None,
) -> dict[str, Any] | None:
    """Train, alone or as one of the ranks; returns the result, or None where another process does it."""
    from ganbench.progress import progress_for_stderr
    from ganbench.ranks import joined, leads
    from ganbench.run import make_deterministic, start

    if deterministic:
        make_deterministic()
    with joined(device, folder.spec.world):
        if leads():
            click.echo(f"run {folder.spec.run_id[:12]}: {folder.path}", err=True)
        return start(folder, data, resolved.entries, device, progress_for_stderr(), places, deterministic, compiled)


def _tell(result: dict[str, Any] | None, folder: RunFolder, as_json: bool) -> None:
    """The result on stdout; where there is none, why."""
    if result is None:
        name = folder.spec.run_id[:12]
        click.echo(f"ganbench: another process is running {name}: nothing to do here", err=True)
    elif as_json:
        from ganbench.store import jsonable

        click.echo(json.dumps(jsonable(result), sort_keys=True))
    else:
        _print_result(result)


def _print_result(result: dict[str, Any]) -> None:
    click.echo(f"{result['model']}: {result['status']} after {result['counters']['g_steps']} steps")
    names = [name for name in result["scores"]["best"] if not name.endswith("_std")]
    told = {
        "untrained": "untrained",
        "final": "final",
        "best": f"best (step {result['best_step']})",
        "floor": "held-out real",
    }
    columns = {head: result["scores"][which] or {} for which, head in told.items()}
    counts = [result["evaluations"].get(which, {}).get("n", "") for which in told]
    width = max(map(len, columns)) + 2
    click.echo(" " * 18 + "".join(f"{column:>{width}}" for column in columns))
    click.echo(f"{'images':<18}" + "".join(f"{count:>{width}}" for count in counts))
    for name in names:
        row = (f"{scores[name]:>{width}.4g}" if name in scores else " " * width for scores in columns.values())
        click.echo(f"{name:<18}" + "".join(row))
    click.echo(f"protocol {result['protocol_id'][:12]}; samples and records in {result['path']}")
