"""The manifest of a prepared set, and whether its files still are what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from ganbench.errors import MissingError
from ganbench.spec import identity
from ganbench.store import write_json

SCHEMA = 1
"""Raised when the files or the manifest change their meaning: older sets are prepared anew."""
MANIFEST, STAMP = "manifest.json", "stamp.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Chunk(_Frozen):
    """Images that were made and written together."""

    count: int
    """Of images that could be read."""
    sha256: str
    """Of their pixels."""


class BrokenImage(_Frozen):
    """An image that cannot be read, and so is not in the set."""

    index: int
    """Its place in the source's split, counted from 0."""
    name: str
    reason: str


class SplitManifest(_Frozen):
    """One split."""

    name: str
    """What its publisher calls it."""
    count: int
    """Images in the set."""
    source_count: int
    """Images in the source."""
    chunks: tuple[Chunk, ...]
    labels_sha256: str
    """Of the labels as little-endian int64."""
    broken: tuple[BrokenImage, ...] = ()


class Manifest(_Frozen):
    """All that is to be known of a prepared set."""

    schema_version: int = SCHEMA
    dataset: str
    provider: str
    options: dict[str, JsonValue]
    resolution: int
    rule: str
    """How pictures became RGB of this size."""
    source_key: str
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    versions: dict[str, str]
    """Of the packages that made the pixels."""
    splits: dict[str, SplitManifest]
    """By role: ``train`` and, where there is one, ``held_out``."""
    content_sha256: str

    @property
    def broken(self) -> list[BrokenImage]:
        """Of all splits."""
        return [image for split in self.splits.values() for image in split.broken]

    @property
    def source_count(self) -> int:
        """Images in all splits of the source."""
        return sum(split.source_count for split in self.splits.values())


def content_sha256(splits: dict[str, SplitManifest], resolution: int) -> str:
    """sha256 over the sizes and the digests of pixels and labels of all splits.

    Chunks are cut by place alone, so that it is the same however many processes worked, and on.
    """
    content: dict[str, Any] = {
        role: {"chunks": [[c.count, c.sha256] for c in split.chunks], "labels": split.labels_sha256}
        for role, split in splits.items()
    }
    return identity({"resolution": resolution, "splits": content})


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a set that is finished; None where it is not.

    Raises MissingError for one that cannot be read.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MissingError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise MissingError(f"{path} is damaged ({first['msg']}): delete {folder} and prepare the set anew") from None


def labels_digest(labels: Any) -> str:
    """sha256 of int64 labels."""
    return hashlib.sha256(np.asarray(labels, "<i8").tobytes()).hexdigest()


def files_of(manifest: Manifest) -> list[str]:
    """The names of a set's arrays."""
    return [f"{role}{kind}.npy" for role in manifest.splits for kind in ("", "-labels")]


def stamps(folder: Path, manifest: Manifest) -> dict[str, list[int]]:
    """Size and time of the last change of each array. Raises MissingError where one is not there."""
    found = {}
    for name in files_of(manifest):
        try:
            status = (folder / name).stat()
        except OSError as error:
            raise MissingError(
                f"{folder / name} cannot be read ({error.strerror}): delete {folder} and prepare the set anew"
            ) from error
        found[name] = [status.st_size, status.st_mtime_ns]
    return found


def write_stamp(folder: Path, manifest: Manifest) -> None:
    """Note that the arrays, as they are now, are those of the manifest."""
    write_json(folder / STAMP, stamps(folder, manifest))


def verify(folder: Path, manifest: Manifest, advance: Callable[[int], object] = lambda count: None) -> None:
    """Read everything anew and compare it with the manifest; ``advance`` is told of the images read.

    Raises MissingError for the first difference.
    """
    from ganbench.images import ImageFile

    anew = f"delete {folder} and prepare the set anew"
    for role, split in manifest.splits.items():
        images, start = ImageFile(folder / f"{role}.npy"), 0
        for chunk in split.chunks:
            pixels = images[start : start + chunk.count].numpy()
            if len(pixels) != chunk.count or hashlib.sha256(pixels.data).hexdigest() != chunk.sha256:
                last = start + chunk.count - 1
                raise MissingError(f"images {start} to {last} of {images.path} were changed: {anew}")
            start += chunk.count
            advance(chunk.count)
        if len(images) != start:
            raise MissingError(f"{images.path} has {len(images)} images, not {start}: {anew}")
        if labels_digest(read_labels(folder, role)) != split.labels_sha256:
            raise MissingError(f"{folder / role}-labels.npy was changed: {anew}")
    if content_sha256(manifest.splits, manifest.resolution) != manifest.content_sha256:
        raise MissingError(f"{folder / MANIFEST} was changed: {anew}")


def read_labels(folder: Path, role: str) -> Any:
    """int64 [N]. Raises MissingError for a file that is not that."""
    path = folder / f"{role}-labels.npy"
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MissingError(f"{path} cannot be read: {error}") from error
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise MissingError(f"{path} holds {labels.dtype} {list(labels.shape)}, not labels as int64 [N]")
    return labels
