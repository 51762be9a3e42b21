"""A chunk of images decoded, here or by processes that share it."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ganbench.decode import BrokenImageError, Raw, decode
from ganbench.errors import GanbenchError
from ganbench.sources import RawImages

POOL_SECONDS = 20.0
"""Of work that is left, above which further processes are worth their start where nobody set their number."""
PIECES = 4
"""Into which a chunk is cut for each process, so that none waits long for the slowest."""


@dataclass(frozen=True)
class Decoded:
    """Neighbouring images of a split."""

    pixels: NDArray[np.uint8]
    """uint8 [kept, 3, R, R]."""
    broken: list[tuple[int, str, str]]
    """Place in the split, name and reason of each image that could not be read."""


def decode_images(images: RawImages, start: int, stop: int, resolution: int) -> Decoded:
    """The images from ``start`` to before ``stop``, in order, without those that cannot be read."""
    pixels = np.empty((stop - start, 3, resolution, resolution), np.uint8)
    kept, broken = 0, []
    for index in range(start, stop):
        try:
            pixels[kept] = decode(_taken(images, index), resolution)
        except BrokenImageError as error:
            broken.append((index, images.name(index), str(error)))
        else:
            kept += 1
    return Decoded(pixels[:kept], broken)


def _taken(images: RawImages, index: int) -> Raw:
    """Image ``index`` as the source has it; whatever a source raises, it is that image that is broken."""
    try:
        return images[index]
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise BrokenImageError(reason or f"{type(error).__name__}: {error}") from error


class Decoder:
    """Decodes one chunk at a time; several processes work on the same chunk, so that only one can be lost."""

    def __init__(self, splits: Mapping[str, RawImages], resolution: int, workers: int | None, left: int) -> None:
        """``workers`` None: as many as there are processors, once what is left takes long; ``left`` in images."""
        self._splits, self._resolution = splits, resolution
        self._measured = workers is None
        self._workers = workers or processors()
        self._left, self._done, self._seconds = left, 0, 0.0
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def chunk(self, role: str, start: int, stop: int) -> Decoded:
        """Decode a chunk of one split. Raises GanbenchError where a process died."""
        if self._pool is None and self._pool_is_worth_it():
            self._pool = self._start_pool()
        began = time.monotonic()
        if self._pool is None:
            decoded = decode_images(self._splits[role], start, stop, self._resolution)
        else:
            decoded = self._shared(self._pool, role, start, stop)
        self._seconds += time.monotonic() - began
        self._done += stop - start
        self._left -= stop - start
        return decoded

    def _pool_is_worth_it(self) -> bool:
        if self._workers < 2 or not self._measured:
            return self._workers > 1
        return self._done > 0 and self._left * self._seconds / self._done > POOL_SECONDS

    def _start_pool(self) -> ProcessPoolExecutor:
        pickled = pickle.dumps(dict(self._splits))
        # What a plug-in file defines can be unpickled only where that file was loaded.
        plugins = [
            str(module.__file__)
            for name, module in sys.modules.items()
            if name.startswith("ganbench_plugin_") and name.encode() in pickled
        ]
        # By spawn: a fork of a process with threads may hang, and torch has threads.
        return ProcessPoolExecutor(self._workers, get_context("spawn"), _begin, (plugins, pickled, self._resolution))

    def _shared(self, pool: ProcessPoolExecutor, role: str, start: int, stop: int) -> Decoded:
        size = -(-(stop - start) // (PIECES * self._workers))
        starts = range(start, stop, size)
        stops = [min(begin + size, stop) for begin in starts]
        try:
            pieces = list(pool.map(_piece, [role] * len(starts), starts, stops))
        except BrokenProcessPool:
            raise GanbenchError(
                "a process that decodes images died, as for want of memory: lower --workers; what is done is kept"
            ) from None
        broken = [image for piece in pieces for image in piece.broken]
        return Decoded(np.concatenate([piece.pixels for piece in pieces]), broken)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_work: dict[str, RawImages] = {}
_resolution = 0


def _begin(plugins: list[str], pickled: bytes, resolution: int) -> None:
    """What a process does first: it must not outlive its parent, and a Ctrl-C is the parent's to answer.

    What is unpickled comes from the parent, through a pipe.
    """
    global _resolution  # noqa: PLW0603 (a pool gives its processes nothing but globals)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if plugins:
        from ganbench.registry import Registry

        Registry.discover([Path(plugin) for plugin in plugins])
    _work.update(pickle.loads(pickled))
    _resolution = resolution


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _piece(role: str, start: int, stop: int) -> Decoded:
    return decode_images(_work[role], start, stop, _resolution)
