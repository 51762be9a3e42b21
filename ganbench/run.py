"""One run from its spec to its result: claim the folder, train or go on, score, write ``result.json`` last."""

from __future__ import annotations

import os
import re
import resource
import sys
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ganbench import ranks
from ganbench.attempts import recorded_attempt
from ganbench.batches import Batches
from ganbench.checkpoint import Checkpoints
from ganbench.combination import doubts
from ganbench.cost import count_parameters
from ganbench.data import ImageData
from ganbench.environment import describe
from ganbench.errors import GanbenchError, StoreError
from ganbench.evaluate.evaluator import Evaluation, Evaluator
from ganbench.lease import told
from ganbench.networks import Networks, build_networks
from ganbench.objective import build_objective
from ganbench.places import Places
from ganbench.progress import Progress, SilentProgress
from ganbench.registry import Entry
from ganbench.spec import RunSpec
from ganbench.store import RESULT_SCHEMA, RunFolder, file_sha256, write_json
from ganbench.train import Interrupted, TrainingRun
from ganbench.train_step import Trainer


def make_deterministic() -> None:
    """Ask torch for deterministic kernels only; must come before the first CUDA call."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def execute(
    spec: RunSpec,
    data: ImageData,
    entries: Mapping[str, Entry],
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
    places: Places,
    deterministic: bool = False,
    compiled: bool | None = None,
) -> dict[str, Any]:
    """Train and score one spec in its claimed folder; returns the result with its path, on every rank.

    Raises Interrupted when told to stop; an unexpected error is recorded in ``failure.json`` and raised.
    """
    if ranks.leads():
        write_json(folder.path / "env.json", describe(device, deterministic, entries, doubts(spec, entries)))
        folder.failure.unlink(missing_ok=True)
    try:
        networks = build_networks(spec, entries)
        if spec.sync_bn:
            networks = Networks(*map(ranks.with_common_statistics, networks))
        batches = Batches(data.train, spec.batch, spec.seed, device, flip=spec.flip, part=ranks.part())
        trainer = Trainer(spec, networks, build_objective(spec, entries), batches, device)
        evaluator = Evaluator(spec, data, entries["evaluation.extractor"], device, places, progress.say)
        run = TrainingRun(trainer, evaluator, folder, progress, compiled)
        with batches:
            status = run.execute()
        result = _result(run, status)
        if ranks.leads():
            write_json(folder.result, result)
    except KeyboardInterrupt:
        raise Interrupted("interrupted: the same command goes on from the last checkpoint") from None
    except Interrupted:
        raise
    except Exception as error:
        trace = "" if isinstance(error, GanbenchError) else traceback.format_exc()
        with suppress(StoreError):  # a full disk takes no record of it either: the error itself is what is told
            if ranks.leads():
                write_json(folder.failure, {"error": f"{type(error).__name__}: {error}", "traceback": trace})
        raise
    finished = ranks.by_first(folder.finished)
    assert finished is not None
    return finished


def _load_best(run: TrainingRun) -> None:
    """Make the best checkpoint's generator the one that is scored."""
    checkpoints = Checkpoints(run.folder.checkpoints)
    path = checkpoints.path("best", run.best["step"])
    state = checkpoints.load(path)
    if state is None:
        raise GanbenchError(f"{told(path)} is damaged or lost: delete {told(run.folder.path)} and run again")
    run.trainer.sampler.load_state_dict(state["generator"])


def _score_best(run: TrainingRun) -> Evaluation:
    """The best checkpoint, on samples other than those it was chosen by."""
    ranks.by_first(lambda: _load_best(run))  # scoring gives it to the other ranks
    return run.evaluator.score_samples(run.trainer.sampler, "report")


def _evaluations(run: TrainingRun, status: str) -> dict[str, Evaluation | None]:
    """What is reported: each generator is scored once, so the best that is the final one is not scored again."""
    final = run.evaluator.score_samples(run.trainer.sampler, "report") if status == "finished" else None
    same = final is not None and run.best["step"] == run.step
    best = final if same else _score_best(run)
    return {"final": final, "best": best, "floor": ranks.by_first(run.evaluator.score_floor)}


def _result(run: TrainingRun, status: str) -> dict[str, Any]:
    spec, evaluator, counters = run.spec, run.evaluator, asdict(run.counters)
    reported = _evaluations(run, status)
    scored = {which: evaluation for which, evaluation in reported.items() if evaluation is not None}
    distinct = {id(evaluation): evaluation.seconds for evaluation in scored.values()}
    artefacts = sorted(p for p in run.folder.path.rglob("*") if p.suffix in (".pt", ".png", ".jsonl"))
    artefacts = [path for path in artefacts if path != run.folder.attempts]  # which is written once more
    return {
        "schema": RESULT_SCHEMA,
        "run_id": spec.run_id,
        "cell_id": spec.cell_id,
        "model": spec.model,
        "status": status,
        "primary": evaluator.primary,
        "protocol": evaluator.protocol,
        "protocol_id": evaluator.protocol_id,
        "scores": {
            "untrained": run.untrained["scores"],
            **{which: evaluation.values if evaluation else None for which, evaluation in reported.items()},
        },
        "evaluations": {
            "untrained": run.untrained["facts"],
            **{which: evaluation.facts() for which, evaluation in scored.items()},
        },
        "intra": {
            which: evaluation.scores.by_class for which, evaluation in scored.items() if evaluation.scores.by_class
        },
        "best_step": run.best["step"],
        "counters": counters,
        "cost": {
            "evaluation_seconds": run.evaluation_seconds + sum(distinct.values()),
            "checkpoint_seconds": run.checkpoint_seconds,
            "compiled": run.compiled,
            "compile_seconds": run.compile_seconds,
            "data_wait_seconds": run.trainer.batches.waited_seconds,
            "images_per_second": counters["real_images"] / counters["train_seconds"],
            "peak_memory_bytes": _peak_memory(run.trainer.device),
            "flops_per_step": run.flops_per_step,
        },
        "parameters": {
            "generator": count_parameters(run.trainer.generator),
            "discriminator": count_parameters(run.trainer.discriminator),
        },
        "artefacts": {str(p.relative_to(run.folder.path)): file_sha256(p) for p in artefacts},
    }


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the device where it has its own memory, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss begins with the peak of the process that started this one
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found is not None:
            return 1024 * int(found[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def start(
    folder: RunFolder,
    data: ImageData,
    entries: Mapping[str, Entry],
    device: torch.device,
    progress: Progress,
    places: Places,
    deterministic: bool = False,
    compiled: bool | None = None,
) -> dict[str, Any] | None:
    """Run the folder's spec, go on with it, or return its result if it is done.

    Returns None where another process is running it. Raises what :func:`execute` raises, and LeaseLostError where
    another process took it over. Of several ranks all are given the same; the first holds the folder.
    """
    with ExitStack() as stack:

        def claim() -> tuple[bool, dict[str, Any] | None]:
            nonlocal folder
            folder.create()
            held = stack.enter_context(folder.claimed(progress.say))
            if held is None:
                return False, None
            folder = held
            return True, held.finished()

        mine, done = ranks.by_first(claim)
        if done is not None or not mine:
            return done
        if ranks.leads():
            stack.enter_context(recorded_attempt(folder))
        shown = stack.enter_context(progress if ranks.leads() else SilentProgress())
        return execute(folder.spec, data, entries, folder, device, shown, places, deterministic, compiled)
