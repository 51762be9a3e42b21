"""``ganbench show``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.places_options import places_options
from ganbench.cli.spec_options import json_option, spec_options

if TYPE_CHECKING:
    from ganbench.networks import AttentionCost
    from ganbench.places import Places
    from ganbench.resolve import Resolved


@click.command("show")
@spec_options
@places_options
@json_option
def command(resolved: Resolved, places: Places, as_json: bool) -> None:
    """Show what a run would be: the resolved spec, its run id, the providers, the parameter counts."""
    print_spec(describe_spec(resolved, places, with_parameters=True), as_json)


def describe_spec(resolved: Resolved, places: Places, with_parameters: bool) -> dict[str, Any]:
    """The spec as JSON. ``run_id`` is None where the data set, whose content is part of it, or the extractor
    is not at hand.
    """
    from ganbench.errors import MissingError
    from ganbench.loading import load_data
    from ganbench.networks import attention_costs, parameter_counts

    spec, run_id = resolved.spec, None
    for error in resolved.missing.values():
        click.echo(f"ganbench: warning: {error} It is not at hand, so this can be shown, not run.", err=True)
    if not resolved.missing:
        try:
            spec, _ = load_data(resolved, places, may_prepare=False)
            run_id = spec.run_id
        except MissingError as error:
            click.echo(f"ganbench: warning: {error}. Until then this can be shown, not run.", err=True)
    description: dict[str, Any] = {
        "run_id": run_id,
        "cell_id": spec.cell_id if run_id else None,
        "spec": spec.model_dump(mode="json"),
        "providers": {
            key: {"name": e.name, "provider": e.provider, "version": e.version, "target": e.target}
            for key, e in resolved.entries.items()
        },
        "warnings": resolved.warnings,
    }
    if with_parameters:
        description["parameters"] = parameter_counts(spec, resolved.entries)
        description["attention"] = [_describe_block(cost) for cost in attention_costs(spec, resolved.entries)]
    return description


def _describe_block(cost: AttentionCost) -> dict[str, Any]:
    """One attention block in its place; None for a reference that cannot stand there."""
    return {
        "network": cost.network,
        "resolution": cost.resolution,
        "channels": cost.channels,
        "size": dict(cost.size),
        **cost.block._asdict(),
        "references": {
            name: None if isinstance(reference, str) else reference._asdict()
            for name, reference in cost.references.items()
        },
    }


def print_spec(description: dict[str, Any], as_json: bool) -> None:
    """As one JSON document, or as lines ``key = value``."""
    if as_json:
        click.echo(json.dumps(description, sort_keys=True))
        return
    from ganbench.spec import flatten

    click.echo(f"run_id = {description['run_id'] or 'unknown without the data'}")
    for key, value in flatten(description["spec"]).items():
        click.echo(f"{key} = {json.dumps(value)}")
    for name, count in description.get("parameters", {}).items():
        click.echo(f"parameters.{name} = {count:,}")
    for block in description.get("attention", []):
        _print_block(block)
    third_party = {k: p for k, p in description["providers"].items() if p["provider"] != "ganbench"}
    for key, provider in third_party.items():
        click.echo(f"{key} comes from {provider['provider']} {provider['version']} ({provider['target']})")


def _print_block(block: dict[str, Any]) -> None:
    """The block's cost, that of every reference in the same place, and its share of it."""
    place = f"attention.{block['network']}.{block['resolution']}"
    sized = "".join(f", {option}={value}" for option, value in block["size"].items())
    click.echo(f"{place} = {block['channels']} channels{sized}")
    for key in ("parameters", "flops"):
        beside = []
        for name, reference in block["references"].items():
            if reference is None:
                beside.append(f"{name}: refuses this place")
            else:
                share = f", {block[key] / reference[key] - 1:+.1%}" if reference[key] else ""
                beside.append(f"{name}: {reference[key]:,}{share}")
        click.echo(f"{place}.{key} = {block[key]:,} ({'; '.join(beside)})")
