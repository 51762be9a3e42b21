"""The options that say where the runs of a sweep are placed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ganbench.registry import Registry
    from ganbench.sweep.executor import Demand, Executor

_NAMED: dict[str, tuple[Any, str, str]] = {
    # option of the executor: type, metavar, help
    "address": (str, "ADDRESS", "Ray's cluster: auto, host:port, or local for one on this machine."),
    "partition": (str, "NAME", "Slurm's partition."),
    "time": (str, "TIME", "Slurm's limit for a run: minutes or D-HH:MM:SS; at its end the run is requeued."),
    "gpus_per_run": (click.IntRange(min=0), "N", "Of Ray or Slurm."),
}
"""Options that several sites need have a flag of their own; it says the same as ``--executor-set``."""


@dataclass(frozen=True)
class ChosenExecutor:
    """An executor's name and its options, neither of them checked."""

    name: str
    options: dict[str, Any]

    def construct(self, registry: Registry, demand: Demand) -> Executor:
        """Make the executor.

        Raises UsageError for a name or an option that does not exist, MissingError where what it needs is not
        installed or not reachable.
        """
        from ganbench.options import resolve_options, typed_options

        component = registry.find("executor", self.name).load()
        options = resolve_options(component, self.options, "executor")
        executor: Executor = component(demand, **typed_options(component, options))
        return executor


def executor_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options; it receives ``chosen: ChosenExecutor`` in their place."""

    @functools.wraps(command)
    def with_executor(executor: str, executor_assignments: tuple[str, ...], **values: Any) -> Any:
        from ganbench.drafts import merge, nest
        from ganbench.options import parse_assignment

        named = {name: values.pop(name) for name in _NAMED}
        options: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        for text in executor_assignments:
            options = merge(options, nest(*parse_assignment(text)))
        return command(chosen=ChosenExecutor(executor, options), **values)

    options = [
        click.option("--executor", default="local", show_default=True, metavar="NAME", help="Where runs are placed."),
        *(
            click.option(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
            for name, (kind, metavar, text) in _NAMED.items()
        ),
        click.option(
            "--executor-set",
            "executor_assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any option of the executor, as TOML; repeatable.",
        ),
    ]
    for option in reversed(options):
        with_executor = option(with_executor)
    return with_executor
