"""Preparing a data set, and opening what was prepared."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from ganbench.data import ImageData, ImageSplit
from ganbench.decode import RULE
from ganbench.errors import MissingError, StoreError
from ganbench.images import ImageFile
from ganbench.prepare.counting import counting
from ganbench.prepare.decoding import Decoder, decode_images
from ganbench.prepare.manifest import (
    MANIFEST,
    STAMP,
    Manifest,
    content_sha256,
    read_labels,
    read_manifest,
    stamps,
    verify,
    write_stamp,
)
from ganbench.prepare.splits import SplitWriter
from ganbench.prepare.wanted import Wanted
from ganbench.sources import ALONE, RawData
from ganbench.store import write_json

PACKAGES = ("ganbench", "pillow", "numpy")
"""Whose versions the manifest records."""
NAMED = 3
"""Broken images that an error names; the manifest names them all."""


def prepare(wanted: Wanted, workers: int | None = None, raw: RawData | None = None) -> Manifest:
    """Make every image of a data set once, unless that was done; goes on where it was stopped.

    ``workers`` None: as many processes as there are processors, once it takes long. ``raw``: what the source
    holds, where that was read. Two processes do not meet: the second waits for the first.
    Raises MissingError for a source that cannot be read or of whose images none can, StoreError where the cache
    cannot be written.
    """
    folder = wanted.folder
    with _alone(folder):
        manifest = read_manifest(folder)
        if manifest is not None and not manifest.broken:
            return manifest
        raw = raw or wanted.read()
        if manifest is not None and not _mended(raw, manifest):
            return manifest
        if manifest is not None:
            shutil.rmtree(folder)
        try:
            _check_room(folder, raw, wanted.resolution)
            folder.mkdir(parents=True, exist_ok=True)
            return _prepare(wanted, raw, workers)
        except OSError as error:
            raise StoreError(
                f"{error.filename or folder} cannot be written: {error.strerror}; free the disk or set GANBENCH_CACHE"
            ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the set for this process; the lock is the operating system's and ends with it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"another process is preparing {folder.name}: waiting for it", file=sys.stderr, flush=True)
            lock.acquire()
    except OSError as error:
        raise StoreError(f"{folder.parent} cannot be written: {error.strerror}; set GANBENCH_CACHE") from error
    try:
        yield
    finally:
        lock.release()


def size_in_bytes(raw: RawData, resolution: int) -> int:
    """Of the pixels of all splits."""
    return sum(len(split) for split in raw.splits.values()) * 3 * resolution**2


def _check_room(folder: Path, raw: RawData, resolution: int) -> None:
    there = sum(path.stat().st_size for path in folder.glob("*.npy*")) if folder.exists() else 0
    needed, free = size_in_bytes(raw, resolution) - there, shutil.disk_usage(folder.parent).free
    if needed > free:
        raise StoreError(
            f"{folder.parent} has {free / 1e9:.1f} GB free, and the set needs {needed / 1e9:.1f} GB: "
            "free the disk or set GANBENCH_CACHE"
        )


def _prepare(wanted: Wanted, raw: RawData, workers: int | None) -> Manifest:
    folder = wanted.folder
    total = sum(len(split) for split in raw.splits.values())
    with ExitStack() as stack:
        writers = [SplitWriter(folder, role, split, wanted.resolution) for role, split in raw.splits.items()]
        for writer in writers:
            stack.callback(writer.close)
        done = sum(writer.done for writer in writers)
        images = {role: split.images for role, split in raw.splits.items()}
        decoder = stack.enter_context(Decoder(images, wanted.resolution, workers, total - done))
        advance = stack.enter_context(counting(f"preparing {wanted.name} at {wanted.resolution} px", total, done))
        for writer in writers:
            for start, stop in writer.chunks_left():
                writer.append(decoder.chunk(writer.role, start, stop))
                advance(stop - start)
        splits = {writer.role: writer.finish() for writer in writers}
    for split in splits.values():
        if not split.count:
            shutil.rmtree(folder)
            first = split.broken[0]
            raise MissingError(
                f"none of the {split.source_count} images in the split '{split.name}' of {wanted.name} can be read: "
                f"{first.name} ({first.reason}) is the first"
            )
    manifest = Manifest(
        dataset=wanted.name,
        provider=wanted.provider,
        options=dict(wanted.options),
        resolution=wanted.resolution,
        rule=RULE,
        source_key=wanted.source.key,
        classes=raw.classes,
        notes=raw.notes if raw.held_out else (*raw.notes, ALONE),
        versions={package: version(package) for package in PACKAGES},
        splits=splits,
        content_sha256=content_sha256(splits, wanted.resolution),
    )
    write_stamp(folder, manifest)
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    for writer in writers:
        writer.forget()
    return manifest


def _mended(raw: RawData, manifest: Manifest) -> bool:
    """Whether an image that could not be read can be read now, though its file is the same: a disk that failed
    for a while. The set is prepared anew then.
    """
    return any(
        not decode_images(raw.splits[role].images, image.index, image.index + 1, manifest.resolution).broken
        for role, split in manifest.splits.items()
        for image in split.broken
    )


def refuse_broken(wanted: Wanted, manifest: Manifest) -> None:
    """Raise MissingError that names broken images, unless the user said to go on without them."""
    broken = manifest.broken
    if not broken or wanted.places.skip_broken:
        return
    named = ", ".join(f"{image.name} ({image.reason})" for image in broken[:NAMED])
    more = f" and {len(broken) - NAMED} more (all in {wanted.folder / MANIFEST})" if len(broken) > NAMED else ""
    raise MissingError(
        f"{len(broken)} of {manifest.source_count} images of {wanted.name} cannot be read: {named}{more}; mend or "
        "remove them, or leave them out with --skip-broken"
    )


def open_prepared(wanted: Wanted, manifest: Manifest) -> ImageData:
    """The images of a prepared set, which stay on the disk. Files that were touched since are checked first.

    Raises MissingError for broken images that were not to be skipped, and for files that were changed.
    """
    refuse_broken(wanted, manifest)
    folder = wanted.folder
    if not _untouched(folder, manifest):
        check(wanted, manifest)
    splits = {
        role: ImageSplit(ImageFile(folder / f"{role}.npy"), torch.from_numpy(read_labels(folder, role)), split.name)
        for role, split in manifest.splits.items()
    }
    return ImageData(splits["train"], splits.get("held_out"), len(manifest.classes), manifest.content_sha256)


def check(wanted: Wanted, manifest: Manifest) -> None:
    """Compare every byte with the manifest. Raises MissingError for the first difference."""
    total = sum(split.count for split in manifest.splits.values())
    with counting(f"checking {wanted.name} at {wanted.resolution} px", total) as advance:
        verify(wanted.folder, manifest, advance)


def _untouched(folder: Path, manifest: Manifest) -> bool:
    try:
        noted = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return False
    return bool(noted == stamps(folder, manifest))
