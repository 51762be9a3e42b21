"""Help, version and unknown commands: at once, and without the heavy imports."""

from __future__ import annotations

import statistics
import time

import pytest
from harness import call, python, shell

from ganbench import __version__
from ganbench.cli import COMMANDS

HEAVY = ("torch", "torchvision", "pandas", "numpy", "sklearn", "pydantic", "torch_fidelity", "rich")
IMPORTED = f"""
import sys
from ganbench.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
print("imported:", [name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    outcome = python("-c", IMPORTED, *arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "imported: []"


def test_help_is_there_at_once() -> None:
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        assert shell("--help").code == 0
        seconds.append(time.perf_counter() - started)
    assert statistics.median(seconds) < 0.3


def test_help_names_every_command() -> None:
    shown = shell("--help")
    assert shown.err == ""
    for command, about in COMMANDS.items():
        assert f"  {command} " in shown.out
        assert about in shown.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = call(command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: ganbench {command} ")
    assert "--json" in shown.out


def test_version() -> None:
    shown = shell("--version")
    assert (shown.code, shown.out) == (0, f"ganbench {__version__}\n")


@pytest.mark.parametrize(
    ("typed", "meant"), [("rnu", "run"), ("tabel", "table"), ("lst", "list"), ("docter", "doctor")]
)
def test_an_unknown_command_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    refused = call(typed)
    assert refused.code == 2
    assert f"unknown command '{typed}': did you mean {meant}" in refused.complaint


def test_no_command_shows_the_help() -> None:
    shown = call()
    assert shown.code == 2
    assert "Commands:" in shown.out + shown.err
