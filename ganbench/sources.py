"""Data sets as their publishers give them: where they lie, what is in them, how image i is read.

A component of the kind ``dataset`` that is decorated with :func:`reads` is called with the data root and its
options and returns a :class:`Source`. The harness makes images of one size from it, once, and keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ganbench.errors import MissingError

if TYPE_CHECKING:
    from ganbench.decode import Raw

ALONE = "nothing is held out: the training images are their own reference, and there is no floor"
"""What is said of a set with one split."""

C = TypeVar("C", bound=Callable[..., "Source"])


class AbsentError(MissingError):
    """A file or folder of a data set is not there: the harness adds how to get it, and may download it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not there")
        self.path = path


class RawImages(Protocol):
    """Images as a source has them. Worker processes read them, so that it is pickled: without open files."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Raw:
        """Image ``index``: an opened picture, an array, a path, or a file's bytes. May raise what it likes."""

    def name(self, index: int) -> str:
        """What a person is told where image ``index`` is broken."""


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory: uint8 or uint16 [N, H, W] or [N, H, W, 1, 3 or 4]."""

    array: NDArray[np.uint8] | NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int, /) -> NDArray[np.uint8] | NDArray[np.uint16]:
        image: NDArray[np.uint8] | NDArray[np.uint16] = self.array[index]
        return image

    def name(self, index: int) -> str:
        """Its number, counted from 0."""
        return f"image {index}"


@dataclass(frozen=True)
class RawSplit:
    """One split as its publisher gives it. Raises MissingError where labels and images are not as many."""

    name: str
    """What its publisher calls it: train, test, val, unlabeled."""
    images: RawImages
    labels: NDArray[np.int64]
    """[N]; zeros where there are no classes."""

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.images),):
            raise MissingError(f"the split '{self.name}' has {len(self.images)} images and {self.labels.size} labels")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class RawData:
    """All that a source holds."""

    train: RawSplit
    held_out: RawSplit | None
    """None where there is one split only: its training images are the reference then."""
    classes: tuple[str, ...] = ()
    """Class k's name at place k; empty without classes."""
    notes: tuple[str, ...] = field(default=())
    """What a person should know, a line each: what was left out, and why."""

    @property
    def splits(self) -> dict[str, RawSplit]:
        """By role: ``train``, and ``held_out`` where there is one."""
        return {"train": self.train} | ({} if self.held_out is None else {"held_out": self.held_out})


@dataclass(frozen=True)
class Source:
    """A data set that was found and not yet read."""

    key: str
    """Changes whenever the files do: see :func:`files_key`. Made at every run, so cheap."""
    read: Callable[[], RawData]
    """Reads what is needed to know each image, in an order that is always the same. May raise MissingError."""


@dataclass(frozen=True)
class DatasetCard:
    """What a person is told of a data set that is read from files; the argument of :func:`reads`."""

    about: str
    """What it is, in a line: how many images of what size, the classes, the splits."""
    place: str
    """Where it is looked for, as a path below the data root."""
    get: str
    """How to get it: the public address."""
    download: Callable[[Path], object] | None = None
    """Downloads it into the data root; None where its publisher wants to be asked."""


def reads(card: DatasetCard) -> Callable[[C], C]:
    """Mark a data set that is read from files: ``f(root, *, ...) -> Source``.

    ``root`` is the data root. What is not there is told with AbsentError.
    """

    def mark(component: C) -> C:
        component.card = card  # type: ignore[attr-defined]
        return component

    return mark


def card_of(component: Any) -> DatasetCard | None:
    """The card of a data set that is read from files; None for one that makes its images itself."""
    card = getattr(component, "card", None)
    return card if isinstance(card, DatasetCard) else None


def files_key(root: Path, names: Iterable[str]) -> str:
    """sha256 over the name, the size and the time of the last change of each file below ``root``.

    A file that was rewritten in place with the same size and then given its old time goes unnoticed, as does
    nothing else. Raises AbsentError for a file that is not there, MissingError for one that cannot be seen.
    """
    return stamps_key((name, *stamp(root / name)) for name in names)


def stamp(path: Path) -> tuple[int, int]:
    """Bytes and time of the last change in ns. Raises AbsentError, or MissingError with the reason."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise AbsentError(path) from None
    except OSError as error:
        raise MissingError(f"{path} cannot be read: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


def stamps_key(stamps: Iterable[tuple[str, int, int]]) -> str:
    """sha256 over names, sizes and times."""
    digest = hashlib.sha256()
    for name, size, time in stamps:
        digest.update(f"{name}\0{size}\0{time}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
