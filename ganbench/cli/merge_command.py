"""``ganbench merge``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ganbench.cli.spec_options import json_option, results_option
from ganbench.errors import DONE


@click.command("merge")
@click.argument(
    "sources", nargs=-1, required=True, metavar="RESULTS...", type=click.Path(path_type=Path, file_okay=False)
)
@results_option
@json_option
def command(sources: tuple[Path, ...], results: Path, as_json: bool) -> int:
    """Bring the runs of further RESULTS folders, of other machines for example, into --results.

    What is finished is copied and verified, and passed over where the same result is there already; two different
    results of one run are an error, and nothing is copied. An unfinished run is copied where --results does not have
    it yet, gives way to its own result, and is otherwise left where it is, with a line that says so.
    Exit codes: 0 done, 1 two results of one run or a damaged one, 2 usage.
    """
    from ganbench.merging import merge

    merged = merge(sources, results)
    if as_json:
        click.echo(json.dumps({"results": str(results), **vars(merged)}))
        return DONE
    for path in merged.copied:
        click.echo(f"copied: {path}")
    for path in merged.finished:
        click.echo(f"copied, in the place of the unfinished: {path}")
    for path, reason in merged.left.items():
        click.echo(f"left: {path}: {reason}")
    taken = len(merged.copied) + len(merged.finished)
    click.echo(f"{results}: {taken} runs copied, {len(merged.equal)} there already, {len(merged.left)} left")
    return DONE
