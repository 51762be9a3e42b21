"""Run every script of this folder, each in a process of its own: ``python tests/benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent

for script in sorted(FOLDER.glob("*.py")):
    if script.name not in ("__init__.py", "__main__.py", "pairs.py"):
        subprocess.run([sys.executable, script], check=True)
