"""Everything that the README shows works: its commands, its plug-in, its table, its links."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from harness import ROOT, SCORED, digest, shell

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
_SHORT = ["--budget", "2steps", "--set", "evaluation.every=2steps", *SCORED]
SMALL = {
    "run": ["--width", "8", "--batch", "8", *_SHORT],
    "bench": ["--width", "4", "--batch", "4", "--pairs", "5"],
    "sweep": ["--seeds", "1", "--rows", "none,self-8", *_SHORT],
}
"""What makes a command of the README one of seconds."""
TABLE = "results/quick/sagan-table1.md"


def _commands() -> list[list[str]]:
    """Every ganbench command in the README's shell blocks, in order."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part)[1:] for part in parts if part.startswith("ganbench ")]


def _matches(folder: Path, word: str) -> list[Path]:
    """What a shell makes of a pattern."""
    return sorted(folder.glob(word)) if "*" in word else []


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
    assert {"sweep", "eval", "sample", "data", "weights"} <= {command[0] for command in commands}
    for command in commands:
        expanded = [str(path) for word in command for path in (_matches(tmp_path, word) or [word])]
        outcome = shell(*expanded, *SMALL.get(command[0], []))
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
    shown = README.partition(f"<!-- {TABLE} -->\n")[2].partition("<!-- end -->")[0]
    assert shown.strip() == (ROOT / TABLE).read_text(encoding="utf-8").strip()


def test_the_committed_tables_are_what_the_committed_records_give() -> None:
    outcome = shell("table", "--check", ROOT / "results" / "quick")
    assert outcome.code == 0, outcome.err
    for name in ("sagan-table1.md", "sagan-figure3.md", "sagan-figure3.svg", "baselines.md"):
        assert name in outcome.out


def test_the_picture_is_a_grid_of_the_committed_run() -> None:
    (run,) = (ROOT / "results" / "first" / "runs").iterdir()
    last = max((run / "samples").iterdir())
    assert (ROOT / "results" / "first" / "sagan.png").read_bytes() == last.read_bytes()
    recorded = json.loads((run / "result.json").read_text(encoding="utf-8"))["artefacts"]
    assert recorded[f"samples/{last.name}"] == digest(last)


def test_links_and_pictures_exist() -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if "://" not in t]
    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target
