"""Weight files of extractors: found, checked, added. Nothing here loads one, and nothing downloads.

A file's size and sha256 are compared with the published ones on every use, before anything of it is loaded: a
pickle is a program. A file that is another than the published one is used only where the user allows it, and its
own sha256 then stands in every record.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganbench.errors import MissingError, StoreError, UsageError, unknown
from ganbench.places import Places
from ganbench.published import PUBLISHED, PublishedWeights
from ganbench.registry import Registry
from ganbench.store import file_sha256

ALLOW = "--allow-unverified-weights"


@dataclass(frozen=True)
class WeightFile:
    """A file that was checked, or that the user takes as it is."""

    path: Path
    published: PublishedWeights
    """What it stands for."""
    sha256: str
    """Of what it holds."""

    @property
    def verified(self) -> bool:
        """Whether it is the published file."""
        return self.sha256 == self.published.sha256

    def content(self) -> io.BytesIO:
        """The whole file, its bytes hashed once more: what is loaded is what was checked.

        Raises MissingError where the file has changed since or cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise MissingError(f"weights {self.path} cannot be read: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise MissingError(f"weights {self.path} changed while they were in use: begin again")
        return io.BytesIO(content)


def mend(published: PublishedWeights, places: Places) -> str:
    """The two commands that bring a file to its place."""
    elsewhere = "" if places.weights == Places().weights else f" --weights-dir {shlex.quote(str(places.weights))}"
    return f"curl -LO {published.url} && ganbench weights add {published.file}{elsewhere}"


def examine(path: Path, published: PublishedWeights) -> tuple[str, str | None]:
    """A file's sha256 and, in a few words, why it is not the published one: None where it is.

    Raises OSError where it cannot be read.
    """
    with path.open("rb") as file:
        size, sha256 = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    if published.size is not None and size != published.size:
        return sha256, f"it has {size:,} bytes and the published file {published.size:,}"
    if published.sha256 is None:
        return sha256, "its publisher states no sha256"
    if published.sha256 != sha256:
        return sha256, f"its sha256 is {sha256} and the published one {published.sha256}"
    return sha256, None


def check(path: Path, published: PublishedWeights, places: Places) -> WeightFile:
    """A file as it may be loaded.

    Raises MissingError where it cannot be read, or is neither the published one nor allowed as it is.
    """
    try:
        sha256, fault = examine(path, published)
    except OSError as error:
        raise MissingError(f"weights {path} cannot be read: {error.strerror}; {mend(published, places)}") from None
    if fault is not None and not places.unverified_weights:
        how = f"{ALLOW} takes them as they are"
        if published.sha256 is not None:
            how = f"get the published ones by {mend(published, places)}, or {how}"
        raise MissingError(f"weights {path} were not loaded, since {fault}: {how}")
    return WeightFile(path, published, sha256)


def find(extractor: str, files: Sequence[PublishedWeights], places: Places, sha256: str | None = None) -> WeightFile:
    """The first of an extractor's files that is at hand and right; one with ``sha256`` where that is given.

    Raises MissingError with the commands that mend it where there is none, or where all that are at hand are
    other than the published ones.
    """
    refused: list[MissingError] = []
    present = [each for each in files if (places.weights / each.file).exists()]
    for each in present:
        try:
            found = check(places.weights / each.file, each, places)
        except MissingError as error:
            refused.append(error)
            continue
        if sha256 in (None, found.sha256):
            return found
        other = f"{found.path} has sha256 {found.sha256}, and the run began with {sha256}"
        refused.append(MissingError(f"weights of the extractor '{extractor}': {other}; give those back"))
    if refused:
        raise refused[0]
    names = " or ".join(each.file for each in files)
    raise MissingError(f"extractor '{extractor}' needs {names} in {places.weights}: {mend(files[0], places)}")


@dataclass(frozen=True)
class State:
    """How a published file stands in the folder of weights."""

    published: PublishedWeights
    extractors: tuple[str, ...]
    """That take it."""
    path: Path
    """Where it lies, or would."""
    state: Literal["present", "absent", "wrong", "unverifiable"]
    """Unverifiable is what is at hand and cannot be compared, since its publisher states no sha256."""
    fault: str | None
    """Why it is neither present nor absent."""


def survey(known: Mapping[str, Sequence[PublishedWeights]], places: Places) -> list[State]:
    """Every file of the extractors given, hashed where it is at hand; in their order, each file once."""
    takers: dict[PublishedWeights, list[str]] = {}
    for extractor, files in known.items():
        for published in files:
            takers.setdefault(published, []).append(extractor)
    return [_state(published, tuple(names), places.weights / published.file) for published, names in takers.items()]


def _state(published: PublishedWeights, extractors: tuple[str, ...], path: Path) -> State:
    if not path.exists():
        return State(published, extractors, path, "absent", None)
    try:
        _, fault = examine(path, published)
    except OSError as error:
        return State(published, extractors, path, "wrong", f"it cannot be read: {error.strerror}")
    if fault is None:
        return State(published, extractors, path, "present", None)
    return State(published, extractors, path, "unverifiable" if published.sha256 is None else "wrong", fault)


def add(source: Path, known: Sequence[PublishedWeights], places: Places) -> WeightFile:
    """Copy a file to the folder of weights, under its published name, checked in the copy and then renamed.

    It is known by its sha256, or else, where unverified weights are allowed, by its name. Raises MissingError
    for a file that cannot be read or is not the published one, UsageError for one that nothing is known of,
    StoreError where the folder cannot be written.
    """
    try:
        sha256 = file_sha256(source)
    except OSError as error:
        raise MissingError(f"weights {source} cannot be read: {error.strerror}") from None
    by_content = next((each for each in known if each.sha256 == sha256), None)
    by_name = next((each for each in known if each.file == source.name), None)
    published = by_content or by_name
    if published is None:
        raise UsageError(unknown("weight file", source.name, [each.file for each in known]))
    checked = check(source, published, places)
    target = places.weights / published.file
    if not (target.exists() and source.samefile(target)):
        _copy(checked, target)
    return WeightFile(target, published, checked.sha256)


def _copy(source: WeightFile, target: Path) -> None:
    """Copy aside, compare what was written, rename; large files never lie in memory as a whole."""
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.path.open("rb") as given, aside.open("w+b") as copy:
            shutil.copyfileobj(given, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
            copy.seek(0)
            written = hashlib.file_digest(copy, "sha256").hexdigest()
        if written != source.sha256:
            raise MissingError(f"weights {source.path} changed while they were copied: add them again")
        aside.replace(target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}; choose another --weights-dir") from error
    finally:
        if aside.exists():
            aside.unlink()


def known_weights(registry: Registry) -> dict[str, tuple[PublishedWeights, ...]]:
    """By extractor, the files that it takes: the built-in ones, none imported, and those on others' cards."""
    known = dict(PUBLISHED)
    for entry in registry.entries("extractor"):
        if entry.built_in:
            continue
        try:
            files = getattr(getattr(entry.load(), "card", None), "weights", ())
        except MissingError:
            continue  # a plug-in that fails, fails alone; `doctor` shows why
        if files:
            known[entry.name] = tuple(files)
    return known
