"""Checkpoints: written atomically with a sha256 beside them, verified before they are loaded."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from ganbench.store import file_sha256, write_atomically

KEPT = 2
"""Training states kept: should the newest be damaged, the one before it is used."""


class Checkpoints:
    """``step-N.pt``, the whole training state, and ``best-N.pt``, the generator of the best evaluation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, kind: str, step: int, state: dict[str, Any]) -> Path:
        """Write ``<kind>-<step>.pt``. The digest goes first: a state without one is never there."""
        path = self.path(kind, step)
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        write_atomically(_digest_file(path), f"{hashlib.sha256(content).hexdigest()}\n".encode())
        write_atomically(path, content)
        return path

    def path(self, kind: str, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / f"{kind}-{step:09d}.pt"

    def paths(self, kind: str) -> list[Path]:
        """All of a kind, the oldest first."""
        return sorted(self.folder.glob(f"{kind}-*.pt"))

    def kept(self, kind: str) -> dict[int, Path]:
        """All of a kind by step, the oldest first."""
        return {int(path.stem.rpartition("-")[2]): path for path in self.paths(kind)}

    def load(self, path: Path) -> dict[str, Any] | None:
        """The state, on the CPU; None where there is none or its sha256 is not the recorded one."""
        if not path.exists() or self.recorded_sha256(path) != file_sha256(path):
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def recorded_sha256(self, path: Path) -> str | None:
        """What was written beside a checkpoint when it was made; None where that is gone."""
        digest = _digest_file(path)
        return digest.read_text().strip() if digest.exists() else None

    def prune(self, kind: str, keep: int) -> None:
        """Delete all but the newest ``keep`` of a kind."""
        for path in self.paths(kind)[:-keep]:
            self.discard(path)

    def discard(self, path: Path) -> None:
        """Delete one."""
        path.unlink()
        _digest_file(path).unlink(missing_ok=True)


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
