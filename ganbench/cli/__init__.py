"""The command line: one file per command, imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from ganbench.errors import FAILED, INTERRUPTED, GanbenchError

COMMANDS = {
    "bench": "Time the training step of a model, and where its time goes.",
    "check": "Check that a component does what its kind must.",
    "data": "List, show, prepare and verify data sets.",
    "doctor": "Check the installation and every plug-in.",
    "eval": "Score a run, a folder or a generator.",
    "list": "List models, suites, papers and components.",
    "merge": "Join results folders of several machines.",
    "run": "Train one model, score it, keep the result.",
    "sample": "Write images of a run.",
    "show": "Show what a run would be: its spec, providers and parameter counts.",
    "sweep": "Train every row of a suite with several seeds.",
    "table": "Print the table of a suite, or of all results.",
    "weights": "List, check and add the weight files of extractors.",
}
"""Name -> the line in --help, here so that help imports no command."""


class LazyGroup(click.Group):
    """A group whose commands are imported from ``ganbench.cli.<name>_command`` on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"ganbench.cli.{cmd_name}_command").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from ganbench.errors import unknown

            ctx.fail(unknown("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from ganbench import __version__

        click.echo(f"ganbench {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Swap one part of a GAN, train on one budget, score under one protocol, print the table."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with its code; an error is one line on stderr."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        # As its context's object a command finds the arguments, to give them to the ranks that it starts.
        given = sys.argv[1:] if arguments is None else arguments
        code = cli.main(given, prog_name="ganbench", standalone_mode=False, obj=tuple(given))
    except GanbenchError as error:
        if debug:
            raise
        _complain(str(error), alike=error.alike)
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        how = f" ('{context.command_path} --help' shows how)" if context else ""
        _complain(f"{error.format_message()}{how}", alike=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted", alike=True)
        code = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        _complain(f"{type(error).__name__}: {error} ('ganbench --debug ...' shows where)")
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def note(message: str) -> None:
    """A line on stderr that is no error; of several ranks the first tells it, if who started them has not."""
    if rank_here() == 0 and "GANBENCH_LAUNCHED" not in os.environ:
        click.echo(f"ganbench: {message}", err=True)


def _complain(message: str, *, alike: bool = False) -> None:
    """One line on stderr, whatever line breaks a library has put into it.

    Of what all ranks of a run meet ``alike`` the first alone tells.
    """
    rank = rank_here()
    if rank and alike:
        return
    who = f"rank {rank}: " if rank else ""
    click.echo(f"ganbench: {who}{' '.join(message.split())}", err=True)


def rank_here() -> int:
    """Which rank of a run this process is, by torchrun's word; 0 where it did not start it."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0
