"""Sweeps of toy runs: a suite of them, and what their processes and folders tell."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from harness import DEADLINE, PLUGINS

from ganbench.attempts import Attempt, read_attempts

SUITE = """
title = "Toys"
description = "for a test"
reference = "dcgan"
metrics = ["fid"]

[set]
dataset = "few-digits"
architecture.width = 4
batch = 8
budget = "120steps"

[set.evaluation]
extractor = "thumbnail"
every = "10steps"
samples = 32
batch = 32
isc_splits = 2
kid_subset_size = 16
kid_subsets = 2

[profiles.quick]

[profiles.paper]
architecture.width = 64

[[rows]]
name = "dcgan"
label = "DCGAN"
recipe = "dcgan"

[[rows]]
name = "spectral"
label = "DCGAN, spectral norm"
recipe = "dcgan"
set = { discriminator.weight_norm = "spectral" }

[[rows]]
name = "wild"
label = "diverges"
recipe = "dcgan"
set = { optimizer.lr_g = 1e30 }

[[rows]]
name = "far"
label = "feat 32"
recipe = "dcgan"
set = { attention = "residual", attention_at = [32] }
"""


def toy_sweep(root: Path, seeds: int) -> list[str]:
    """The arguments of a sweep of toy runs, whose suite is written below ``root``."""
    (root / "suites").mkdir(exist_ok=True)
    (root / "suites" / "toys.toml").write_text(SUITE)
    return ["sweep", "toys", "--seeds", str(seeds), "--registry", str(root), "--plugin", str(PLUGINS / "toy.py")]


def runs(results: Path) -> dict[str, Path]:
    """The folders of all runs by name."""
    return {path.name: path for path in (results / "runs").glob("*")}


def attempts(results: Path) -> list[Attempt]:
    """Of all runs."""
    return [attempt for folder in runs(results).values() for attempt in read_attempts(folder)]


def grids(results: Path) -> int:
    """How far all runs have come: evaluations so far."""
    return sum(1 for _ in results.glob("runs/*/samples/*.png"))


def at_work(results: Path, gone: set[int]) -> dict[int, Path]:
    """The processes that train, those apart that are known to be gone, and the folder of each."""
    last = {folder: read_attempts(folder)[-1:] for folder in runs(results).values()}
    working = {each[0].pid: folder for folder, each in last.items() if each and each[0].ended is None}
    return {pid: folder for pid, folder in working.items() if pid not in gone}


def is_alive(pid: int) -> bool:
    """Whether a process of this machine still does anything."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until_gone(pids: Iterable[int]) -> None:
    """Poll until none of these processes is alive."""
    deadline = time.monotonic() + DEADLINE
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
