"""The whole training step against the plain form of it, by ``ganbench bench --against plain``.

The published widths at the sizes of their papers, and the quick profile; on the CPU, with all its cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

CASES = {
    "SNGAN-32, width 256/128": ("--model", "sngan", "--profile", "cifar10"),
    "SAGAN-32, width 64": ("--model", "sagan", "--profile", "cifar10"),
    "DCGAN-64": ("--model", "dcgan", "--profile", "paper"),
    "quick SAGAN-32, width 8": ("--model", "sagan"),
    "quick SAGAN-32, compiled": ("--model", "sagan", "--compile"),
}
AIMS = {"bf16": {"DCGAN-64": 2.5}, "fp32": {}}
USUAL_AIM = {"bf16": 3.0, "fp32": 1.5}
PAIRS = 5


def measure(*arguments: str) -> dict[str, Any]:
    """The report of one bench."""
    command = [sys.executable, "-m", "ganbench", "bench", *arguments, "--device", "cpu", "--pairs", str(PAIRS)]
    done = subprocess.run([*command, "--against", "plain", "--json"], check=True, stdout=subprocess.PIPE)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Print the table."""
    print("| training step | batch | precision | plain s | ours s | ratio (quartiles) | aimed at | reached |")
    print("|---|---|---|---|---|---|---|---|")
    for name, arguments in CASES.items():
        for precision in ("bf16", "fp32"):
            report = measure(*arguments, "--precision", precision)
            aim = AIMS[precision].get(name, USUAL_AIM[precision])
            low, high = report["ratio_spread"]
            cells = (
                *(name, report["batch"], precision),
                *(f"{side['seconds_per_step']:.4f}" for side in (report["plain"], report)),
                *(f"{report['ratio']:.2f} ({low:.2f} to {high:.2f})", f"{aim:g}"),
                "yes" if report["ratio"] >= aim else "no",
            )
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
