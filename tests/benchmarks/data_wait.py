"""The share of its time for which the training loop waits for data, on the quick profiles.

Real runs of few steps; waiting is all from asking for a batch to having it. From memory, as the quick
profile trains, and with batches gathered from a file by the thread, as a large set trains.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 40
PROMISED = 0.02
PLUGIN = Path(__file__).parents[1] / "plugins" / "toy.py"
STREAMING = "import ganbench.batches; ganbench.batches.FILE_BYTES = 0; from ganbench.cli import main; main()"
LITTLE_SCORING = [
    *("--set", "evaluation.extractor=thumbnail", "--set", f"evaluation.every={STEPS}steps"),
    *("--set", "evaluation.samples=40", "--set", "evaluation.kid_subset_size=20", "--set", "evaluation.isc_splits=2"),
]


def measure(model: str, results: Path, *more: str) -> float:
    """The share in one run."""
    arguments = ["run", "--model", model, "--budget", f"{STEPS}steps", "--plugin", PLUGIN, "--results", results]
    done = subprocess.run(
        [sys.executable, "-c", STREAMING, *map(str, arguments), *LITTLE_SCORING, *more, "--device", "cpu", "--json"],
        check=True,
        stdout=subprocess.PIPE,
    )
    result = json.loads(done.stdout)
    return float(result["cost"]["data_wait_seconds"] / result["counters"]["train_seconds"])


def main() -> None:
    """Print the table."""
    print("| quick profile, batches from | waits for data | promised | kept |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        file = ["--dataset", "filed-digits", "--set", f"dataset.file={temporary}/digits.npy"]
        for model in ("sagan", "sngan", "dcgan"):
            for source, more in (("memory", []), ("a file, by the thread", file)):
                share = measure(model, Path(temporary) / source, *more)
                kept = "yes" if share < PROMISED else "NO"
                print(f"| {model}, {source} | {share:.2%} | {PROMISED:.0%} | {kept} |", flush=True)


if __name__ == "__main__":
    main()
