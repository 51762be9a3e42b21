"""Everything that the README shows works: its commands, its plug-in, its table, its links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from harness import ROOT, SCORED, shell

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
SMALL = ["--width", "8", "--batch", "8", "--budget", "2steps", "--set", "evaluation.every=2steps", *SCORED]


def _commands() -> list[list[str]]:
    """Every ganbench command in the README's shell blocks, in order."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part)[1:] for part in parts if part.startswith("ganbench ")]


def _plugin_file() -> tuple[str, str]:
    """Name and text of the file that shows how to add a part."""
    text = next(text for kind, text in BLOCKS if kind == "python")
    first, _, _ = text.partition("\n")
    return first.removeprefix("# "), text


@pytest.mark.slow
def test_every_command_does_what_it_says(tmp_path: Path) -> None:
    name, text = _plugin_file()
    (tmp_path / name).write_text(text)
    commands = _commands()
    assert ["table"] in commands
    assert sum(command[0] == "run" for command in commands) >= 4
    for command in commands:
        outcome = shell(*command, *(SMALL if command[0] == "run" else []))
        assert outcome.code == 0, f"{command}: {outcome.err}"
        assert outcome.out, command


def test_the_install_commands_are_the_ones_that_ci_runs() -> None:
    shell = "\n".join(text for kind, text in BLOCKS if kind == "sh")
    assert "pip install . && ganbench run --model sagan --loss hinge --sn-g && ganbench table" in shell
    assert "pip install tox && tox" in shell
    ci = (ROOT / ".ci" / "run").read_text()
    assert "pip install --quiet tox" in ci
    assert re.search(r"bin/tox$", ci, re.MULTILINE)


def test_adding_a_part_takes_ten_lines() -> None:
    _, text = _plugin_file()
    body = text[text.index("@register") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 10


def test_the_table_is_the_committed_one() -> None:
    shown = README.partition("<!-- results/quick/table.md -->\n")[2].partition("<!-- end -->")[0]
    assert shown.strip() == (ROOT / "results" / "quick" / "table.md").read_text(encoding="utf-8").strip()


def test_the_committed_table_is_what_the_committed_runs_give() -> None:
    outcome = shell("table", "--format", "md", "--results", ROOT / "results" / "quick")
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip() == (ROOT / "results" / "quick" / "table.md").read_text(encoding="utf-8").strip()


def test_links_and_pictures_exist() -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if "://" not in t]
    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target
