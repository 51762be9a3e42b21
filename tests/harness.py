"""Runs ganbench from outside, in this process or in another, and compares what it left on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ganbench.cli import main
from ganbench.train import TrainingRun

ROOT = Path(__file__).parents[1]
PLUGINS = ROOT / "tests" / "plugins"
MODELS = ("dcgan", "sagan", "sngan")
DEADLINE = 300.0
"""Seconds after which something that is waited for is taken to be lost; far above what it takes."""

SCORED = [
    *("--set", "evaluation.samples=32", "--set", "evaluation.batch=32", "--set", "evaluation.isc_splits=2"),
    *("--set", "evaluation.kid_subset_size=16", "--set", "evaluation.kid_subsets=2"),
]
TINY = ["--width", "4", "--batch", "8", "--budget", "6steps", "--set", "evaluation.every=2steps", *SCORED]
"""A run of six steps with four evaluations and three checkpoints, in some two seconds."""
TOY_PLUGIN = PLUGINS / "toy.py"
TOY = [*TINY, "--plugin", str(TOY_PLUGIN), "--dataset", "few-digits", "--set", "evaluation.extractor=thumbnail"]
"""The same with little to score: in some tenths of a second."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; anything beside it is an error."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line of a user's mistake; anything else on stderr or stdout is an error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("ganbench: "), self.err
        assert self.out == ""
        return lines[0]


def call(*arguments: str | Path) -> Outcome:
    """``ganbench`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    return Outcome(code, out.getvalue(), err.getvalue())


def train(model: str, results: Path, *arguments: str | Path) -> Outcome:
    """A toy run in this process, its result as JSON."""
    return call(*command(model, results, *arguments))


def command(model: str, results: Path, *arguments: str | Path) -> list[str]:
    """The arguments of a toy run; further ones override."""
    fixed = ["run", "--model", model, "--results", results, "--device", "cpu", "--json", *TOY]
    return [str(argument) for argument in (*fixed, *arguments)]


def environment(path: Path | None = None) -> dict[str, str]:
    """Of a subprocess: one thread as here, no GPU, the test's own cache; ``path`` is importable."""
    keep = ("GANBENCH_CACHE", "GANBENCH_LEASE_SECONDS")
    ours = ("GANBENCH", "PYTHONPATH", "COV_")
    clean = {k: v for k, v in os.environ.items() if k in keep or not k.startswith(ours)}
    clean |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONSAFEPATH": "1"}
    return clean | ({"PYTHONPATH": str(path)} if path else {})


def python(*arguments: str | Path, path: Path | None = None, cwd: Path | None = None) -> Outcome:
    """The interpreter of the tests in a process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(path),
        cwd=cwd,
        timeout=DEADLINE,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def shell(*arguments: str | Path, path: Path | None = None) -> Outcome:
    """``python -m ganbench`` in a process of its own."""
    return python("-m", "ganbench", *arguments, path=path)


@contextlib.contextmanager
def launched(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """``python -m ganbench`` in the background, gone at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ganbench", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def outcome(process: subprocess.Popen[str]) -> Outcome:
    """Wait for the end of a launched command."""
    out, err = process.communicate(timeout=DEADLINE)
    return Outcome(process.returncode, out, err)


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Poll until something has happened; fail if the process ends before, or at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not happened():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@contextlib.contextmanager
def at_step(step: int, action: Callable[[], object]) -> Iterator[None]:
    """Act in this process's training when step number ``step``, counted from 0, has been computed."""
    original = TrainingRun._advance

    def advance(run: TrainingRun, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        number = run.step
        losses = original(run, share)
        if number == step:
            action()
        return losses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "_advance", advance)
        yield


def interrupt() -> None:
    """Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


class Crash(BaseException):
    """The process is gone: nobody catches this."""


def crash() -> None:
    """End without any clean-up by the harness."""
    raise Crash


def run_folder(results: Path) -> Path:
    """The folder of the only run."""
    (folder,) = (results / "runs").iterdir()
    return folder


def newest(folder: Path, kind: str = "step") -> Path:
    """The newest checkpoint of a run."""
    return max((folder / "checkpoints").glob(f"{kind}-*.pt"))


def load(path: Path) -> Any:
    """A checkpoint's content."""
    return torch.load(path, weights_only=True)


def digest(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder with its content's digest and the time of its last change."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (digest(path), path.stat().st_mtime_ns) for path in files}


def assert_same_tensors(one: Any, other: Any, where: str = "") -> None:
    """Equal to the last bit, whatever the nesting."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same_tensors(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same_tensors(*pair, where=f"{where}[{index}]")
    else:
        assert one == other, where


def assert_same_run(results: Path, undisturbed: Path) -> None:
    """The only runs of two results folders are the same."""
    assert_same_folder(run_folder(results), run_folder(undisturbed))


def assert_same_folder(one: Path, other: Path) -> None:
    """Two finished runs of one spec: the same weights, averages, buffers, optimizers, rows, grids, scores."""
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    states = [load(newest(folder)) for folder in (one, other)]
    for state in states:
        for measured in ("timing", "evaluation_seconds", "data_wait_seconds", "checkpoint_seconds"):
            del state[measured]
        del state["counters"]["train_seconds"]
        del state["untrained"]["facts"]["seconds"]
    assert_same_tensors(*states)
    assert_same_tensors(load(newest(one, "best")), load(newest(other, "best")))
    ends = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for key in ("run_id", "status", "scores", "best_step", "protocol_id", "parameters"):
        assert ends[0][key] == ends[1][key], key
    assert [end["counters"].pop("train_seconds") > 0 for end in ends] == [True, True]
    assert ends[0]["counters"] == ends[1]["counters"]
    grids = [{p.name: digest(p) for p in (folder / "samples").iterdir()} for folder in (one, other)]
    assert grids[0] == grids[1]
    assert_whole(one)


def assert_whole(folder: Path) -> None:
    """The result names every artefact with the digest that the file has, and nothing half-written lies about."""
    named = json.loads((folder / "result.json").read_text())["artefacts"]
    there = [p for p in folder.rglob("*") if p.suffix in (".pt", ".png", ".jsonl") and p.name != "attempts.jsonl"]
    assert named == {str(path.relative_to(folder)): digest(path) for path in there}
    assert not [p for p in (folder / "checkpoints").iterdir() if p.name.startswith(".")]
    for checkpoint in (folder / "checkpoints").glob("*.pt"):
        assert checkpoint.with_name(f"{checkpoint.name}.sha256").read_text().strip() == digest(checkpoint)
