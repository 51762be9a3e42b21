"""Reference statistics on disk: keyed by all that they are computed from, so that none is met by other data.

An entry is an ``.npz`` without pickles that holds its own key and a sha256 of its content. What cannot be read
or does not hold what it says is computed anew, with a note; it is never trusted.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganbench.errors import StoreError
from ganbench.spec import canonical
from ganbench.store import write_atomically

STATISTICS_VERSION = 3
"""Part of every key; raised whenever what is kept has another form or is computed otherwise."""

Arrays = dict[str, Tensor]


class Statistics:
    """Where the statistics of one reference are kept: ``key`` is the JSON of what defines it.

    That is the data with their content's hash, the split, the count and the resolution, and the extractor with
    its weights' sha256, resize, layers and libraries: see :func:`ganbench.evaluate.protocol.reference_key`.
    ``say`` is told what was damaged or could not be kept.
    """

    def __init__(self, folder: Path, key: dict[str, Any], say: Callable[[str], None]) -> None:
        self._folder, self._key, self._say = folder, key, say

    def get(self, what: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays called ``what``: from their file if that is whole, else computed and kept."""
        key = canonical({**self._key, "what": what, "statistics_version": STATISTICS_VERSION})
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
        if path.exists():
            try:
                return _read(path, key)
            except Exception as error:  # a damaged archive makes numpy and zipfile raise almost anything
                self._say(f"{path} is damaged ({error}): the reference's {what} are computed anew")
        arrays = {name: value.contiguous() for name, value in compute().items()}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _content(arrays, key))
        except (StoreError, OSError) as error:
            self._say(f"the reference's {what} are not kept for the next run: {error}")
        return arrays


class Forgetful(Statistics):
    """Keeps nothing: for a reference whose content has no name."""

    def __init__(self) -> None:
        super().__init__(Path(), {}, lambda _: None)

    def get(self, what: str, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays, computed."""
        return {name: value.contiguous() for name, value in compute().items()}


def _content(arrays: Arrays, key: str) -> bytes:
    plain = {name: value.numpy() for name, value in arrays.items()}
    named = {**plain, "key": _bytes(key.encode()), "sha256": _bytes(_digest(plain, key))}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **named)
    return buffer.getvalue()


def _read(path: Path, key: str) -> Arrays:
    """The arrays of a file. Raises any error where it is not whole."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    sha256 = arrays.pop("sha256").tobytes()
    if json.loads(arrays.pop("key").tobytes()) != json.loads(key):
        raise ValueError("it is of another reference")
    if _digest(arrays, key) != sha256:
        raise ValueError("its sha256 differs")
    # In torch's own memory, as when they were computed: products round by how their factors are aligned.
    return {name: torch.from_numpy(value).clone() for name, value in arrays.items()}


def _digest(arrays: dict[str, NDArray[Any]], key: str) -> bytes:
    digest = hashlib.sha256(key.encode())
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
    return digest.digest()


def _bytes(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)
