"""Checkpoints: written atomically with a sha256 beside them, verified before they are loaded."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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


class CheckpointWriter:
    """Writes checkpoints in a thread while training goes on, in the order in which they are given.

    A context manager: at its end everything is on the disk.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._pending: Future[object] | None = None

    def submit(self, write: Callable[[], object]) -> None:
        """Have it done. Waits for the one before, whose state is in memory too; raises what that one met."""
        self.wait()
        self._pending = self._thread.submit(write)

    def wait(self) -> None:
        """Return when everything is written. Raises what the writing met, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()


def snapshot(state: Any) -> Any:
    """A copy on the CPU that training does not move: of tensors in dicts, lists and tuples."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: snapshot(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(snapshot(value) for value in state)
    return state


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
