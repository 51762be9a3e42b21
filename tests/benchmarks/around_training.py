"""What a run spends beside training: until its first step, on scores, on checkpoints.

Real runs as a user starts them. The first step is timed from the start of the process, with a second run of it,
so that its files are in the memory of the system; checkpoints also of the paper's network, 128 px, whose
state is hundreds of times that of the quick profile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).parents[1] / "plugins" / "toy.py"
START_SECONDS, SCORING_SHARE, CHECKPOINT_SHARE = 4.0, 0.15, 0.01
FIRST_STEP = """
import os
from ganbench.cli import main
from ganbench.train_step import Trainer
step = Trainer.step
def first(self, number, progress):
    step(self, number, progress)
    if self.ema is not None:  # the copy on which FLOPs are counted has none
        os._exit(0)
Trainer.step = first
main()
"""


def _run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "ganbench", "run", "--device", "cpu", "--json", *arguments]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


def first_step(results: Path) -> float:
    """Seconds from the start of a process to the end of its first step, in a run that is warm."""
    seconds = 0.0
    for attempt in range(2):
        command = [sys.executable, "-c", FIRST_STEP, "run", "--model", "sagan", "--device", "cpu"]
        started = time.perf_counter()
        subprocess.run([*command, "--results", str(results / str(attempt))], check=True, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    return seconds


def main() -> None:
    """Print the table."""
    print("| what | measured | aimed at | reached |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        start = first_step(folder / "start")
        _row("quick SAGAN, process to first step", f"{start:.2f} s", f"{START_SECONDS:g} s", start <= START_SECONDS)
        quick = _run("--model", "sagan", "--results", str(folder / "quick"))
        train, scores = quick["counters"]["train_seconds"], quick["cost"]["evaluation_seconds"]
        share = scores / (train + scores)
        _row("quick SAGAN, scores in all its time", f"{share:.1%}", f"{SCORING_SHARE:.0%}", share <= SCORING_SHARE)
        large = _run(
            *("--model", "sagan", "--profile", "paper", "--batch", "16", "--num-classes", "10", "--budget", "3min"),
            *("--plugin", str(PLUGIN), "--dataset", "few-digits", "--set", "evaluation.extractor=thumbnail"),
            *("--set", "evaluation.every=1000steps", "--set", "evaluation.samples=32", "--set", "evaluation.batch=8"),
            *("--set", "evaluation.select_samples=32", "--set", "evaluation.kid_subset_size=16"),
            *("--set", "evaluation.isc_splits=2", "--set", "evaluation.reference_samples=32"),
            *("--results", str(folder / "large")),
        )
        for name, result in (("quick SAGAN", quick), ("SAGAN-128", large)):
            share = result["cost"]["checkpoint_seconds"] / result["counters"]["train_seconds"]
            what = f"{name}, training stands still for checkpoints"
            _row(what, f"{share:.2%}", f"{CHECKPOINT_SHARE:.0%}", share <= CHECKPOINT_SHARE)


def _row(what: str, measured: str, aim: str, reached: bool) -> None:
    print(f"| {what} | {measured} | {aim} | {'yes' if reached else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
