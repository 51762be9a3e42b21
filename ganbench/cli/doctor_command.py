"""``ganbench doctor``."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import click

from ganbench.cli.spec_options import json_option
from ganbench.errors import DONE, MISSING, MissingError


@click.command("doctor")
@click.option("--plugin", type=click.Path(path_type=Path), multiple=True, metavar="FILE.py", help="Check a file too.")
@json_option
def command(plugin: tuple[Path, ...], as_json: bool) -> int:
    """Check the installation: versions, devices, weight files, and every component by importing it.

    Exits with 3 where a component cannot be imported, its traceback shown.
    """
    import json

    import torch

    from ganbench.environment import device_name, package_versions
    from ganbench.places import Places
    from ganbench.registry import KINDS, Registry
    from ganbench.weights import known_weights, survey

    registry = Registry.discover(plugin)
    broken: list[dict[str, Any]] = []
    checked = 0
    for entry in (entry for kind in KINDS for entry in registry.entries(kind)):
        checked += 1
        try:
            entry.load()
        except MissingError as error:
            cause = error.__cause__
            trace = "".join(traceback.format_exception(cause)) if cause else ""
            broken.append({"kind": entry.kind, "name": entry.name, "error": str(error), "traceback": trace})
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    report: dict[str, Any] = {
        "packages": package_versions(),
        "devices": {name: device_name(torch.device(name)) for name in devices},
        "threads": torch.get_num_threads(),
        "weights": {state.published.file: state.state for state in survey(known_weights(registry), Places())},
        "components": checked,
        "broken": broken,
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        for package, version in package_versions().items():
            click.echo(f"{package:<16}{version}")
        for name, device in report["devices"].items():
            click.echo(f"{name:<16}{device}")
        for file, state in report["weights"].items():
            if state != "absent":
                click.echo(f"{state:<16}{file}")
        absent = sum(state == "absent" for state in report["weights"].values())
        click.echo(f"{absent} of {len(report['weights'])} weight files are absent: 'ganbench weights list'")
        for failure in broken:
            click.echo(f"\n{failure['traceback']}{failure['error']}")
        click.echo(f"{checked} components, {len(broken)} broken")
    return MISSING if broken else DONE
