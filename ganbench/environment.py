"""What a run ran on: recorded beside it, and no part of its identity."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ganbench.errors import UsageError
from ganbench.registry import Entry

PACKAGES = (
    "ganbench",
    "torch",
    "torchvision",
    "torch-fidelity",
    "clean-fid",
    "numpy",
    "scipy",
    "scikit-learn",
)


def package_versions() -> dict[str, str]:
    """The installed version of each package that a number may depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def choose_device(name: str, world: int = 1) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:1`` as a device; of several ranks each has the GPU of its number.

    Raises UsageError for a device that is not here, and for one GPU where several are needed.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if world > 1 and name.startswith("cuda:"):
        raise UsageError(f"--device {name} is one GPU, and {world} ranks have one each: use --device cuda")
    if world > 1 and name == "cuda":
        here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        if here > torch.cuda.device_count():
            raise UsageError(
                f"{here} ranks on this machine need a GPU each, and it has {torch.cuda.device_count()}: lower --gpus, "
                "or use --device cpu"
            )
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name} is no device: use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name} is not supported: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name} is not on this machine ({torch.cuda.device_count()} CUDA devices): use cpu")
    return device


def device_name(device: torch.device) -> str:
    """The processor's or the GPU's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and cleanness of the checkout that ``folder`` lies in; None where it is in none."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def describe(
    device: torch.device, deterministic: bool, entries: Mapping[str, Entry], warnings: Sequence[str]
) -> dict[str, Any]:
    """The content of ``env.json``."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": package_versions(),
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "deterministic": deterministic,
        "git": git_state(Path(__file__).parent),
        "components": {
            key: {"name": e.name, "provider": e.provider, "version": e.version, "target": e.target}
            for key, e in entries.items()
        },
        "warnings": list(warnings),
    }
