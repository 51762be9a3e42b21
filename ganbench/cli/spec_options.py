"""The options that make a spec, shared by the commands that take one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli import note

if TYPE_CHECKING:
    from ganbench.drafts import Draft
    from ganbench.resolve import Resolved

_OPTIONS: list[tuple[str, str, Any, str | None, str]] = [
    # flag, key in the spec, type, metavar, help
    ("--architecture", "architecture", str, "NAME", "Generator and discriminator."),
    ("--loss", "loss", str, "NAME", "Both networks' loss on logits."),
    ("--augmentation", "augmentation", str, "NAME", "Of all images that D is shown."),
    ("--norm-g", "generator.norm", str, "NAME", "Activation normalizer of G."),
    ("--norm-d", "discriminator.norm", str, "NAME", "Activation normalizer of D."),
    ("--attention", "attention", str, "NAME", "Attention block."),
    ("--attention-in", "attention_in", click.Choice(["g", "d", "both"]), None, "Networks that carry it."),
    (
        "--attention-match",
        "attention_match",
        click.Choice(["none", "parameters", "flops"]),
        None,
        "Size the block to what 'self' has of it.",
    ),
    ("--conditioning", "conditioning", str, "NAME", "How labels enter: none, projection, acgan, concat."),
    ("--dataset", "dataset", str, "NAME", "What to train on."),
    ("--resolution", "resolution", int, "PX", "Image size."),
    ("--num-classes", "num_classes", int, "N", "Classes of the data set."),
    ("--latent-dim", "latent_dim", int, "N", "Size of z."),
    ("--width", "architecture.width", int, "N", "Scales every channel count."),
    ("--batch", "batch", int, "N", "Real images in an update of D."),
    ("--n-dis", "n_dis", int, "N", "Updates of D for one of G."),
    ("--budget", "budget", str, "AMOUNT", "When to end: 2000steps, 64kimg, 10min, 5pflop."),
    ("--eval-every", "evaluation.every", str, "AMOUNT", "Between two scores in training: 500steps, 8kimg, 10min."),
    ("--eval-samples", "evaluation.select_samples", int, "N", "Samples behind each; the final scores have their own."),
    ("--gpus", "world", int, "N", "GPUs that share every batch, a process each; on the CPU processes."),
    ("--precision", "precision", click.Choice(["fp32", "tf32", "bf16"]), None, "Of the training step."),
]


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a spec; it receives ``resolved: Resolved`` in their place."""

    @functools.wraps(command)
    def with_spec(
        spec: Path | None,
        model: str | None,
        profile: str,
        seed: int,
        sn_g: bool | None,
        sn_d: bool | None,
        sync_bn: bool | None,
        attention_at: tuple[int, ...],
        regularizer: tuple[str, ...],
        assignments: tuple[str, ...],
        plugin: tuple[Path, ...],
        registry: tuple[Path, ...],
        **values: Any,
    ) -> Any:
        flags: dict[str, Any] = {"seed": seed}
        for flag, key, *_ in _OPTIONS:
            value = values.pop(flag.lstrip("-").replace("-", "_"))
            if value is not None:
                flags[key] = value
        for network, wanted in (("generator", sn_g), ("discriminator", sn_d)):
            if wanted is not None:
                flags[f"{network}.weight_norm"] = "spectral" if wanted else "none"
        if sync_bn is not None:
            flags["sync_bn"] = sync_bn
        if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun has started the ranks
            flags.setdefault("world", int(os.environ["WORLD_SIZE"]))
        if attention_at:
            flags["attention_at"] = sorted(set(attention_at))
        if regularizer:
            flags["regularizers"] = list(regularizer)
        if spec is not None:
            _refuse_beside_spec()
            resolved = _reopen(spec, plugin)
        elif model is None:
            raise click.MissingParameter(param_hint="'--model'", param_type="option")
        else:
            resolved = _resolve(model, profile, flags, assignments, plugin, registry)
        for warning in resolved.warnings:
            note(f"warning: {warning}")
        return command(resolved=resolved, **values)

    for option in reversed(_fixed_options()):
        with_spec = option(with_spec)
    return with_spec


def _refuse_beside_spec() -> None:
    """A stored spec is whole: nothing changes it."""
    context = click.get_current_context()
    fixed = {option.name: option.opts[0] for option in context.command.params if option.opts[0] in _changing()}
    for name, flag in fixed.items():
        if context.get_parameter_source(str(name)) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--spec holds the whole run: leave out {flag}")


def _changing() -> set[str]:
    """The options that a stored spec leaves no room for."""
    fixed = (
        "--model",
        "--profile",
        "--seed",
        "--sn-g",
        "--sn-d",
        "--sync-bn",
        "--attention-at",
        "--regularizer",
        "--set",
    )
    return {*fixed, *(flag for flag, *_ in _OPTIONS)}


def _reopen(path: Path, plugins: tuple[Path, ...]) -> Resolved:
    from ganbench.errors import UsageError
    from ganbench.registry import Registry
    from ganbench.resolve import reopen
    from ganbench.spec import ALGO_VERSION
    from ganbench.store import read_spec_file

    spec = read_spec_file(path)
    if spec.algo_version != ALGO_VERSION:
        raise UsageError(
            f"{path} is of algo_version {spec.algo_version}, and this version of ganbench computes {ALGO_VERSION}: "
            "it would be another run"
        )
    return reopen(Registry.discover(plugins), spec)


def _resolve(
    model: str,
    profile: str,
    flags: dict[str, Any],
    assignments: tuple[str, ...],
    plugins: tuple[Path, ...],
    roots: tuple[Path, ...],
) -> Resolved:
    from ganbench.drafts import merge, nest
    from ganbench.options import parse_assignment
    from ganbench.recipes import RecipeBook
    from ganbench.registry import Registry
    from ganbench.resolve import resolve

    overrides: list[Draft] = []
    for key, value in flags.items():
        *parents, last = key.split(".")
        overrides.append(nest([*parents, last], value))
    overrides.extend(nest(*parse_assignment(text)) for text in assignments)
    asked: Draft = {}
    for override in overrides:
        asked = merge(asked, override)
    return resolve(Registry.discover(plugins), RecipeBook(roots), model, profile, [asked])


def _fixed_options() -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    path, file = click.Path(path_type=Path), click.Path(exists=True, dir_okay=False, path_type=Path)
    options = [
        click.option("--model", metavar="NAME", help="Recipe to start from, such as sagan.  [required]"),
        click.option("--spec", type=file, metavar="FILE", help="In place of --model and its changes: a spec.json."),
        click.option(
            "--profile",
            default="quick",
            show_default=True,
            metavar="NAME",
            help="The recipe's sizes and data.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            metavar="N",
            help="Of all draws.",
        ),
        click.option("--sn-g/--no-sn-g", default=None, help="Spectral norm in G, or not."),
        click.option("--sn-d/--no-sn-d", default=None, help="Spectral norm in D, or not."),
        click.option(
            "--sync-bn/--no-sync-bn", default=None, help="Batch norm over the images of all GPUs, or of each alone."
        ),
        click.option(
            "--attention-at",
            type=int,
            multiple=True,
            metavar="PX",
            help="Feature map that carries attention; repeatable.",
        ),
        click.option(
            "--regularizer",
            multiple=True,
            metavar="NAME",
            help="Penalty on D, in place of the recipe's; repeatable. --set regularizers.NAME.weight=... tunes it.",
        ),
    ]
    options += [
        click.option(flag, type=kind, default=None, metavar=metavar, help=text)
        for flag, _, kind, metavar, text in _OPTIONS
    ]
    return [
        *options,
        click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any key of the spec, as TOML; repeatable.",
        ),
        click.option("--plugin", type=path, multiple=True, metavar="FILE.py", help="Load components from a file."),
        click.option("--registry", type=path, multiple=True, metavar="DIR", help="Further recipes and profiles."),
    ]


def results_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--results DIR``."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("results"),
        show_default=True,
        envvar="GANBENCH_RESULTS",
        metavar="DIR",
        help="Where runs are kept.",
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")(command)


def device_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--device NAME``."""
    return click.option(
        "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda or cuda:N."
    )(command)


def compile_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--compile/--no-compile``, None where neither is given."""
    return click.option(
        "--compile/--no-compile",
        "compiled",
        default=None,
        help="torch.compile, on CUDA with CUDA graphs. By default where a short trial on CUDA is faster with it.",
    )(command)
