"""Results folders of several machines -> one: what is finished is copied whole, and nothing is replaced by another.

Two results of one id are equal where all that the spec determines is: status, scores, counters, parameters, the best
step and every row of ``metrics.jsonl``. What the machine determines (seconds, memory, checkpoints' timings) may
differ. An unfinished run comes along where it is not known yet, and gives way to its own result.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganbench.errors import StoreError, UsageError
from ganbench.lease import Lease
from ganbench.store import RunFolder, StoredRun, file_sha256, load_runs

_DETERMINED = ("run_id", "status", "scores", "best_step", "protocol_id", "parameters")
"""Keys of a result that the spec alone decides on, beside the counters."""


@dataclass
class Merged:
    """What was done with each run, as the paths of the runs that came in."""

    copied: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    """The same result is there already."""
    finished: list[str] = field(default_factory=list)
    """Took the place of the same run, unfinished."""
    left: dict[str, str] = field(default_factory=dict)
    """Not taken, with the reason."""


def merge(sources: Sequence[Path], results: Path) -> Merged:
    """Bring all runs of ``sources`` into ``results``, which is made if need be.

    Raises UsageError for a source that is ``results``; StoreError for one that does not exist and where two results
    of one run differ, before anything is copied; StoreError for artefacts that are not what their result says, after
    what was copied till then, which another call passes over.
    """
    for source in sources:
        if source.resolve() == results.resolve():
            raise UsageError(f"{source} cannot be merged into itself: name another --results")
    merged, incoming = Merged(), []
    for source in sources:
        stored = load_runs(source)
        incoming += stored.runs
        merged.left |= dict(reason.split(": ", 1) for reason in stored.foreign)
    known = {run.spec.run_id: run for run in load_runs(results).runs} if results.is_dir() else {}
    _refuse_contradictions([*known.values(), *incoming])
    for run in sorted(incoming, key=lambda run: not run.result):  # so that no unfinished run is copied in vain
        _bring(run, known, results, merged)
    return merged


def _refuse_contradictions(runs: Sequence[StoredRun]) -> None:
    seen: dict[str, StoredRun] = {}
    for run in runs:
        if not run.result:
            continue
        first = seen.setdefault(run.spec.run_id, run)
        if first is not run and (where := _difference(first, run)):
            raise StoreError(
                f"{first.folder} and {run.folder} are one run with two results, which differ in {where}: "
                "move one of them away; nothing was copied"
            )


def _difference(one: StoredRun, other: StoredRun) -> str:
    """In what two results of one spec differ though they must not; empty where in nothing."""
    for key in _DETERMINED:
        if one.result[key] != other.result[key]:
            return key
    counters = [{**run.result["counters"], "train_seconds": None} for run in (one, other)]
    if counters[0] != counters[1]:
        return "counters"
    records = [run.result["artefacts"].get("metrics.jsonl") for run in (one, other)]
    return "metrics.jsonl" if records[0] != records[1] else ""


def _bring(run: StoredRun, known: dict[str, StoredRun], results: Path, merged: Merged) -> None:
    there, name = known.get(run.spec.run_id), str(run.folder)
    if there is not None and there.result:
        if run.result:
            merged.equal.append(name)
        else:
            merged.left[name] = f"unfinished, and {there.folder} has its result"
        return
    if there is not None and not run.result:
        merged.left[name] = f"unfinished, as {there.folder} is: the same command goes on there"
        return
    if not run.result and (holder := Lease(run.folder).holder()):
        merged.left[name] = f"unfinished and held by {holder}: merge again when it is done, or delete {name}/lease"
        return
    target = RunFolder(results, run.spec)
    if there is None:
        with _copied(run, target.path) as aside:
            aside.rename(target.path)
        merged.copied.append(name)
    elif _give_way(run, target):
        merged.finished.append(name)
    else:
        merged.left[name] = f"finished, but a process is at work on {target.path}: merge again when it is done"
        return
    known[run.spec.run_id] = StoredRun(run.spec, run.status, run.result, target.path)


@contextmanager
def _copied(run: StoredRun, target: Path) -> Iterator[Path]:
    """A verified copy beside ``target``, to be renamed; raises StoreError where it cannot be made or be renamed."""
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        shutil.copytree(run.folder, aside, ignore=shutil.ignore_patterns("lease", "*.lock", ".*"))
        _verify(run, aside)
        yield aside
    except OSError as error:
        told = error.strerror or str(error)  # shutil's own error holds a list of what went wrong
        raise StoreError(f"{run.folder} cannot be copied to {target}: {told}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _verify(run: StoredRun, copy: Path) -> None:
    """Raise StoreError where a copied artefact is not what the result says; a checkpoint or grid may be missing."""
    artefacts: dict[str, Any] = run.result.get("artefacts", {})
    for name, sha256 in artefacts.items():
        path = copy / name
        if not path.exists() and path.suffix in (".pt", ".png"):
            continue
        if not path.exists() or file_sha256(path) != sha256:
            raise StoreError(
                f"{run.folder / name} is not what {run.folder / 'result.json'} says (sha256): "
                "restore it, or move that folder away, and merge again"
            )


def _give_way(run: StoredRun, target: RunFolder) -> bool:
    """Put a finished run in the place of its unfinished self; False where a process is at work on that."""
    with target.claimed() as held:
        if held is None:
            return False
        with _copied(run, target.path) as aside:
            before = target.path.with_name(f"{aside.name}.unfinished")
            target.path.rename(before)
            try:
                aside.rename(target.path)
            except OSError:
                before.rename(target.path)
                raise
    shutil.rmtree(before)
    return True
