"""One split on its way to the disk: chunk after chunk, each noted once it is there."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganbench.errors import GanbenchError
from ganbench.prepare.decoding import Decoded
from ganbench.prepare.manifest import BrokenImage, Chunk, SplitManifest, labels_digest
from ganbench.sources import RawSplit
from ganbench.store import JSONLines, read_rows, write_atomically

CHUNK_IMAGES, CHUNK_BYTES = 256, 2**26
"""The most that a chunk holds, of images and of pixels."""
HEADER = 128
"""Bytes before the pixels: what NumPy's format takes for any count of images."""


def chunk_size(resolution: int) -> int:
    """Images of the source in a chunk."""
    return max(1, min(CHUNK_IMAGES, CHUNK_BYTES // (3 * resolution**2)))


class SplitWriter:
    """Appends chunks to ``<role>.npy.part`` and goes on behind those that are there."""

    def __init__(self, folder: Path, role: str, split: RawSplit, resolution: int) -> None:
        self.role, self.split, self._resolution = role, split, resolution
        self._final = folder / f"{role}.npy"
        self._part = folder / f"{role}.npy.part"
        self._labels = folder / f"{role}-labels.npy"
        self._journal_path = folder / f"{role}.jsonl"
        self._chunks: list[Chunk] = []
        self._broken: list[BrokenImage] = []
        if self._final.exists():
            # Ended between the last chunk and the manifest.
            self._final.replace(self._part)
        self._journal = JSONLines(self._journal_path)
        self._file = self._part.open("r+b" if self._part.exists() else "w+b")
        self._go_on()

    def _go_on(self) -> None:
        """Take up what is noted; pixels behind the last note are those of a chunk that was cut off."""
        rows, _ = read_rows(self._journal_path) if self._journal.size else ([], 0)
        self._chunks = [Chunk(count=row["count"], sha256=row["sha256"]) for row in rows]
        self._broken = [BrokenImage(index=i, name=n, reason=r) for row in rows for i, n, r in row["broken"]]
        size = HEADER + self.count * 3 * self._resolution**2
        if self._chunks and os.fstat(self._file.fileno()).st_size < size:
            raise GanbenchError(f"{self._part} is shorter than {self._journal_path} says: delete {self._part.parent}")
        self._file.truncate(size)
        self._file.seek(size)

    @property
    def count(self) -> int:
        """Images written."""
        return sum(chunk.count for chunk in self._chunks)

    @property
    def done(self) -> int:
        """Images of the source that were decoded, or tried."""
        return min(len(self._chunks) * chunk_size(self._resolution), len(self.split))

    def chunks_left(self) -> Iterator[tuple[int, int]]:
        """First image and the one behind the last of each chunk that is not there yet."""
        size = chunk_size(self._resolution)
        for start in range(self.done, len(self.split), size):
            yield start, min(start + size, len(self.split))

    def append(self, decoded: Decoded) -> None:
        """Write a chunk, bring it to the disk, then note it."""
        pixels = np.ascontiguousarray(decoded.pixels)
        self._file.write(pixels.data)
        self._file.flush()
        os.fsync(self._file.fileno())
        chunk = Chunk(count=len(pixels), sha256=hashlib.sha256(pixels.data).hexdigest())
        self._journal.append({"count": chunk.count, "sha256": chunk.sha256, "broken": decoded.broken})
        self._journal.sync()
        self._chunks.append(chunk)
        self._broken += [BrokenImage(index=i, name=n, reason=r) for i, n, r in decoded.broken]

    def finish(self) -> SplitManifest:
        """Give the arrays their names, once every chunk is there; the notes stay until :meth:`forget`."""
        shape = (self.count, 3, self._resolution, self._resolution)
        self._file.seek(0)
        self._file.write(_header(shape))
        self._file.flush()
        os.fsync(self._file.fileno())
        labels = np.delete(self.split.labels, [image.index for image in self._broken])
        write_atomically(self._labels, _array_file(labels))
        self._part.replace(self._final)
        return SplitManifest(
            name=self.split.name,
            count=self.count,
            source_count=len(self.split),
            chunks=tuple(self._chunks),
            labels_sha256=labels_digest(labels),
            broken=tuple(self._broken),
        )

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._journal.close()

    def forget(self) -> None:
        """Delete the notes."""
        self._journal_path.unlink(missing_ok=True)


def _header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    header = buffer.getvalue()
    assert len(header) == HEADER, "NumPy's header has another size"
    return header


def _array_file(array: NDArray[np.int64]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array.astype("<i8"), allow_pickle=False)
    return buffer.getvalue()
