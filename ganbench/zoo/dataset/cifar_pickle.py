"""CIFAR's batches are Python pickles. They are read here by an unpickler that can make their content only:
bytes, text, numbers, lists, dicts and arrays of bytes. No name that a file gives is ever imported or called.
"""

from __future__ import annotations

import codecs
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganbench.api import MissingError


class _Type:
    """Stands for numpy's dtype: it remembers the code, and other than bytes it refuses."""

    __slots__ = ("code",)

    def __init__(self, code: Any = None, *_: Any) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"an array of {code!r}, not of bytes")
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like: nothing of it matters for bytes."""


class _Array:
    """Stands for numpy's array: it takes the state that a pickle has of one, and checks it."""

    __slots__ = ("value",)

    def __init__(self, *_: Any) -> None:
        self.value: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array of something else than bytes")
        self.value = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    """Stands for the function of numpy that a pickle calls for an empty array."""
    return _Array()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stands for ``codecs.encode``, by which Python 3 writes bytes in an old pickle."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("bytes in another encoding than latin1")
    return codecs.latin_1_encode(text)[0]


_STANDS_FOR: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Only the stand-ins; nothing is imported."""
        if (module, name) not in _STANDS_FOR:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of images needs")
        return _STANDS_FOR[module, name]


def _plain(value: Any) -> Any:
    """Text for bytes and arrays for their stand-ins, two levels deep, as the batches are."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, list):
        return [item.decode("latin1") if isinstance(item, bytes) else item for item in value]
    return value


def read_batch(path: Path) -> dict[str, Any]:
    """A batch as a dict by names: arrays uint8, lists of numbers or text, text.

    Raises MissingError for a file that cannot be read, is damaged, or asks for anything else.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="bytes").load()
    except OSError as error:
        raise MissingError(f"{path} cannot be read: {error.strerror}") from error
    # A damaged pickle fails in every way there is.
    except Exception as error:
        raise MissingError(f"{path} is no batch of CIFAR: {error or type(error).__name__}") from error
    if not isinstance(content, dict):
        raise MissingError(f"{path} is no batch of CIFAR: it holds no dict")
    return {str(_plain(key)): _plain(value) for key, value in content.items()}
