"""``ganbench bench``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.spec_options import compile_option, device_option, json_option, spec_options
from ganbench.errors import DONE

if TYPE_CHECKING:
    from ganbench.resolve import Resolved

# torch's profiler, by which memory is measured, tells stderr when it starts and of devices that are not there.
# It reads these as torch is loaded, which the options of the spec do.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


@click.command("bench")
@spec_options
@device_option
@compile_option
@click.option("--against", type=click.Choice(["plain"]), help="Time the plain form of the same step in turn with it.")
@click.option(
    "--pairs", type=click.IntRange(min=5), default=7, show_default=True, metavar="N", help="Blocks that are timed."
)
@json_option
def command(
    resolved: Resolved, device: str, compiled: bool | None, against: str | None, pairs: int, as_json: bool
) -> int:
    """Time the training step of a model on images of noise: speed, memory, and where the time goes.

    The plain form that --against compares with is eager, in float32 (TF32 on CUDA) and contiguous, with torch's own
    spectral norm and Adam, attention written out, and images that a DataLoader brings one by one.
    """
    from ganbench.bench.report import bench
    from ganbench.environment import choose_device

    click.echo(f"ganbench: timing {pairs} blocks of steps; nothing else should run here meanwhile", err=True)
    report = bench(
        resolved.spec,
        resolved.entries,
        choose_device(device),
        compiled=bool(compiled),
        against_plain=against == "plain",
        pairs=pairs,
    )
    if as_json:
        click.echo(json.dumps(report, sort_keys=True))
    else:
        _print(report)
    return DONE


def _print(report: dict[str, Any]) -> None:
    form = "compiled" if report["compiled"] else "eager"
    click.echo(
        f"{report['model']} at {report['resolution']} px, batch {report['batch']}, {report['precision']}, {form}; "
        f"{report['device_name']}, {report['threads']} threads, torch {report['torch']}"
    )
    sides = {"ganbench": report, **({"plain": report["plain"]} if "plain" in report else {})}
    click.echo(f"{'':<18}" + "".join(f"{side:>12}" for side in sides))
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "steps/s": lambda side: f"{side['steps_per_second']:.3g}",
        "images/s": lambda side: f"{side['images_per_second']:.4g}",
        "GFLOP/s": lambda side: f"{side['flops_per_second'] / 1e9:.4g}",
        "peak memory MiB": lambda side: f"{side['peak_memory_bytes'] / 2**20:.4g}",
    }
    for name, cell in rows.items():
        click.echo(f"{name:<18}" + "".join(f"{cell(side):>12}" for side in sides.values()))
    for phase in report["phases"]:
        share = "".join(f"{side['phases'][phase]:>12.1%}" for side in sides.values())
        click.echo(f"{phase.replace('_', ' '):<18}{share}")
    if report["share_of_peak"] is not None:
        click.echo(f"{report['share_of_peak']:.1%} of the device's {report['precision']} peak")
    if report["compile_seconds"] is not None:
        click.echo(f"compiled in {report['compile_seconds']:.0f} s")
    if "ratio" in report:
        low, high = report["ratio_spread"]
        click.echo(f"{report['ratio']:.2f} times as fast as plain ({low:.2f} to {high:.2f}; {report['pairs']} pairs)")
