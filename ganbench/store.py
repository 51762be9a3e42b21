"""A run's folder: what is written there, atomically, and how it is read back.

``metrics.jsonl`` holds only what the spec determines, so that a resumed run's rows equal an undisturbed
run's to the byte; ``timing.jsonl`` holds what the machine determined.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ganbench.errors import StoreError
from ganbench.lease import Lease, told
from ganbench.spec import RunSpec

RESULT_SCHEMA = 2
"""Of ``result.json``; raised when its keys change their meaning."""


def jsonable(value: Any) -> Any:
    """The value with non-finite numbers as the strings 'NaN', 'Infinity', '-Infinity': JSON has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return value


def write_atomically(path: Path, content: bytes) -> str:
    """Write aside, fsync, rename, fsync the folder: the file is the old one or the new one, never half.

    Returns the content's sha256. Raises StoreError where the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise _unwritten(path, error) from error
    return hashlib.sha256(content).hexdigest()


def _unwritten(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{told(path)} cannot be written: {error.strerror}; free the disk or choose --results")


def write_json(path: Path, content: Any) -> str:
    """Write indented JSON atomically; returns its sha256."""
    text = json.dumps(jsonable(content), indent=1, sort_keys=True, allow_nan=False)
    return write_atomically(path, f"{text}\n".encode())


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class JSONLines:
    """An append-only file of JSON rows. Opening it for writing cuts off a torn last line.

    The rows that are kept go into a new file in the old one's place: who had that open writes nowhere from then on.
    All methods raise StoreError where the file cannot be written.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        """Open for appending after ``size`` bytes; after the last whole line where that is None."""
        self._path = path
        content = path.read_bytes() if path.exists() else b""
        kept = content[: content.rfind(b"\n") + 1 if size is None else size]
        write_atomically(path, kept)
        self._file = path.open("ab")
        self._digest = hashlib.sha256(kept)
        self.size = len(kept)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row."""
        line = json.dumps(jsonable(row), sort_keys=True, allow_nan=False).encode() + b"\n"
        with self._told():
            self._file.write(line)
        self._digest.update(line)
        self.size += len(line)

    def sync(self) -> str:
        """Bring all rows to the disk; returns the sha256 of the whole file."""
        with self._told():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        with self._told():
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _unwritten(self._path, error) from error


class UnwrittenLines(JSONLines):
    """Rows that nobody keeps: those of a rank that does not write."""

    def __init__(self) -> None:
        self.size = 0

    def append(self, row: dict[str, Any]) -> None:
        """Forget the row."""

    def sync(self) -> str:
        """Nothing has to reach the disk."""
        return ""

    def close(self) -> None:
        """Nothing is open."""


def read_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a JSON-lines file and the number of lines that could not be read."""
    rows, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            torn += 1
            continue
        rows.append(row)
    return rows, torn


class RunFolder:
    """``<results>/runs/<model>-<run_id[:12]>/``."""

    def __init__(self, results: Path, spec: RunSpec) -> None:
        self.spec = spec
        self.results = results
        self._go_by(results / "runs" / spec.directory)
        self.lease = Lease(self.path)

    def __reduce__(self) -> tuple[type[RunFolder], tuple[Path, RunSpec]]:
        """What another process is sent is the folder: a lease is held by one."""
        return RunFolder, (self.results, self.spec)

    def _go_by(self, path: Path) -> None:
        self.path = path
        self.spec_file = self.path / "spec.json"
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.metrics = self.path / "metrics.jsonl"
        self.timing = self.path / "timing.jsonl"
        self.result = self.path / "result.json"
        self.failure = self.path / "failure.json"
        self.attempts = self.path / "attempts.jsonl"
        self.log = self.path / "log.txt"

    def create(self) -> None:
        """Make the folder and write ``spec.json``. Raises StoreError where that is not possible."""
        try:
            for folder in (self.path, self.checkpoints, self.samples):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"results folder {self.path} cannot be made: {error.strerror}; choose another with --results"
            ) from error
        if not self.spec_file.exists():
            write_json(self.spec_file, self.spec.model_dump(mode="json"))
        self._check_spec()

    def _check_spec(self) -> None:
        if read_spec(self.path).run_id != self.spec.run_id:
            raise StoreError(f"{self.spec_file} is not the spec of {self.spec.run_id[:12]}: move that folder away")

    def sweep(self) -> None:
        """Delete the checkpoints and pictures that a killed process left half written."""
        for folder in (self.checkpoints, self.samples):
            for path in folder.glob(".*"):
                path.unlink()

    @contextmanager
    def claimed(self, say: Callable[[str], None] | None = None) -> Iterator[RunFolder | None]:
        """Hold the run for this process: yields its folder to write in, or None where another process holds it.

        A holder on this machine that has died is known at once, one elsewhere by its silence: with ``say`` that is
        waited for, without it takes several calls. Raises LeaseLostError where, in the block, another process took
        the run over; from then on the folder that was yielded cannot be written.
        """
        try:
            mine = self.lease.claim(say)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}; choose --results") from error
        if not mine:
            yield None
            return
        held = RunFolder(self.results, self.spec)
        held.lease = self.lease
        held._go_by(self.lease.way)
        try:
            yield held
        except Exception:
            self.lease.refuse_if_lost()  # which is why nothing could be written
            raise
        finally:
            self.lease.give_back()

    def finished(self) -> dict[str, Any] | None:
        """The result of a run that is done, with its path; None where it is not.

        Raises StoreError where the folder holds something else.
        """
        if not self.result.exists():
            return None
        self._check_spec()
        result = read_result(self.path)
        if result.get("run_id") != self.spec.run_id:
            raise StoreError(f"{self.result} is not the result of {self.spec.run_id[:12]}: move that folder away")
        return result


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{told(path)} cannot be read ({error}): move that folder away and run again") from error


def read_spec(folder: Path) -> RunSpec:
    """``spec.json`` of a run's folder. Raises StoreError where it is no spec of this version."""
    return read_spec_file(folder / "spec.json", "move that folder away")


def read_spec_file(path: Path, mend: str = "give the spec.json of a run") -> RunSpec:
    """A spec as JSON. Raises StoreError, with the mend, where it is no spec of this version."""
    try:
        return RunSpec.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): {mend} and run again") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise StoreError(
            f"{path} is not a spec of this version of ganbench ({where}: {first['msg'].lower()}): {mend}"
        ) from None


def read_result(folder: Path) -> dict[str, Any]:
    """``result.json`` of a run's folder plus ``path``. Raises StoreError where it is no result of ours."""
    result = _read_json(folder / "result.json")
    if not isinstance(result, dict) or result.get("schema") != RESULT_SCHEMA:
        raise StoreError(f"{folder / 'result.json'} is not a result of this version of ganbench: move it away")
    return {**result, "path": told(folder)}


@dataclass(frozen=True)
class StoredRun:
    """One run as found on disk."""

    spec: RunSpec
    status: str
    """finished or diverged by its result; failed by its failure.json; else unfinished."""
    result: dict[str, Any]
    """Content of result.json; empty where the run has none yet."""
    folder: Path
    """Where it was found."""


@dataclass(frozen=True)
class StoredRuns:
    """All runs of a results folder, and what else lay there."""

    runs: list[StoredRun]
    foreign: list[str]
    """Folders under runs/ that hold no readable run, each with the reason."""


def load_runs(results: Path) -> StoredRuns:
    """Every run under ``results``; what is not a run is named, never guessed at.

    Raises StoreError for a folder that does not exist.
    """
    if not results.is_dir():
        raise StoreError(f"there is no results folder {results}: 'ganbench run' makes one, --results names it")
    runs: dict[str, StoredRun] = {}
    foreign = []
    for folder in sorted((results / "runs").glob("*")):
        if folder.name.startswith("."):
            continue
        try:
            spec = read_spec(folder)
            result = read_result(folder) if (folder / "result.json").exists() else {}
        except StoreError as error:
            foreign.append(f"{folder}: {error}")
            continue
        if spec.run_id in runs:
            foreign.append(f"{folder}: a copy, its spec is that of {spec.directory}")
            continue
        failed = (folder / "failure.json").exists()
        status = result.get("status") or ("failed" if failed else "unfinished")
        runs[spec.run_id] = StoredRun(spec, status, result, folder)
    return StoredRuns(list(runs.values()), foreign)
