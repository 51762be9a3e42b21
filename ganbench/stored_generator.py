"""The generator of a stored run: rebuilt from its spec, with the weights of one of its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ganbench.checkpoint import Checkpoints
from ganbench.errors import MissingError, StoreError, UsageError
from ganbench.networks import build_networks
from ganbench.registry import Entry
from ganbench.spec import RunSpec
from ganbench.store import read_spec

Weights = Literal["ema", "raw"]
"""The moving average of the generator's weights, or the weights themselves."""


@dataclass(frozen=True)
class StoredGenerator:
    """A generator as it was at one step of its run."""

    network: nn.Module
    """float32, channels last, on its device; called as ``g(z, y)``."""
    step: int
    """Updates of G that it had seen."""
    weights: Weights
    path: Path
    """The checkpoint."""
    sha256: str
    """Of the checkpoint, checked before it was read."""

    def facts(self) -> dict[str, str | int]:
        """Which it is, as JSON."""
        return {
            "checkpoint": self.path.name,
            "checkpoint_sha256": self.sha256,
            "step": self.step,
            "weights": self.weights,
        }


def find_run(results: Path, name: str) -> Path:
    """The folder of a run: ``name`` is that folder, or the first letters of its id or of the folder's name.

    Raises UsageError where that is no run, or is the beginning of several ids.
    """
    if (Path(name) / "spec.json").is_file():
        return Path(name)
    runs = results / "runs"
    found = [folder for folder in sorted(runs.glob("*")) if folder.is_dir() and _is_called(folder, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name} may be {' or '.join(folder.name for folder in found)}: give more letters")
    raise UsageError(
        f"{name} is no run: give its folder, or the first letters of its id for a run in {runs} "
        "(--results names another folder)"
    )


def _is_called(folder: Path, name: str) -> bool:
    """Whether a folder ``<model>-<run_id[:12]>`` begins so, or its id does."""
    if not name or folder.name.startswith(name):
        return bool(name)
    if not folder.name.rpartition("-")[2].startswith(name[:12]):
        return False
    try:
        return read_spec(folder).run_id.startswith(name)
    except StoreError:
        return False


def choose_checkpoint(checkpoints: Checkpoints, which: str) -> tuple[int, Path]:
    """Step and file of ``final``, the last state of a finished or interrupted run, ``best``, or a step's number.

    Raises UsageError for a step that was not kept, naming those that were; MissingError where the run has none.
    """
    states, best = checkpoints.kept("step"), checkpoints.kept("best")
    if which in ("final", "best"):
        found = states if which == "final" else best
        if not found:
            raise MissingError(
                f"{checkpoints.folder} has no '{which}' checkpoint: the run has not come so far, or they were "
                "deleted; the command that began it goes on with it"
            )
        return max(found.items())
    if not which.isdecimal():
        raise UsageError(f"--checkpoint takes final, best or a step's number, not '{which}'")
    step = int(which)
    path = states.get(step) or best.get(step)
    if path is None:
        kept = ", ".join(map(str, sorted({*states, *best}))) or "none"
        raise UsageError(f"--checkpoint {step} was not kept: the steps that were are {kept}")
    return step, path


def choose_weights(spec: RunSpec, path: Path, wanted: Weights | None) -> Weights:
    """The weights to take: where nothing is wanted, those that the run itself is scored by.

    Raises UsageError for weights that the run or this checkpoint does not hold.
    """
    usual: Weights = "ema" if spec.ema else "raw"
    if wanted == "ema" and spec.ema is None:
        raise UsageError("--weights ema: the run keeps no moving average; leave it out, or use --weights raw")
    if wanted == "raw" and spec.ema is not None and path.name.startswith("best-"):
        raise UsageError(
            f"--weights raw: {path.name} holds the moving average alone; use --weights ema, or another --checkpoint"
        )
    return wanted or usual


def load_generator(
    folder: Path, spec: RunSpec, entries: Mapping[str, Entry], which: str, wanted: Weights | None, device: torch.device
) -> StoredGenerator:
    """The generator of the run in ``folder``; ``spec`` and ``entries`` are those of its reopened spec.

    Raises UsageError as :func:`choose_checkpoint` and :func:`choose_weights`, MissingError for a checkpoint that
    is damaged or does not fit the networks.
    """
    checkpoints = Checkpoints(folder / "checkpoints")
    step, path = choose_checkpoint(checkpoints, which)
    weights = choose_weights(spec, path, wanted)
    state = checkpoints.load(path)
    sha256 = checkpoints.recorded_sha256(path)
    if state is None or sha256 is None:
        raise MissingError(f"{path} is damaged (its sha256 differs): choose another with --checkpoint, or run again")
    # As the trainer has it: another memory format rounds differently.
    network = build_networks(spec, entries).generator.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        network.load_state_dict(_weights_in(state, weights))
    except (KeyError, RuntimeError) as error:
        raise MissingError(f"{path} does not fit the networks of its spec: {error}; run it again") from None
    return StoredGenerator(network.requires_grad_(False), step, weights, path, sha256)


def _weights_in(state: dict[str, Any], weights: Weights) -> dict[str, Any]:
    """The generator's state in a whole training state, or in what is kept of the best evaluation."""
    found: dict[str, Any] = (
        state["trainer"]["ema" if weights == "ema" else "generator"] if "trainer" in state else state["generator"]
    )
    return found
