"""Pictures below a folder, or in a zip, which is read where it lies and never unpacked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ganbench.errors import MissingError
from ganbench.sources import stamp, stamps_key

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
)
"""Of a file that is taken for a picture, in either case."""
MAX_BYTES = 2**28
"""Of one picture in a zip, unpacked: above it, the zip is taken for a bomb."""


@dataclass(frozen=True)
class TreeImages:
    """Pictures of a folder or a zip, by name; each process opens the zip for itself."""

    path: Path
    names: Sequence[str]
    zipped: bool

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int, /) -> Path | bytes:
        name = self.names[index]
        if not self.zipped:
            return self.path / name
        size = self._archive.getinfo(name).file_size
        if size > MAX_BYTES:
            raise ValueError(f"{size:,} bytes when unpacked, above {MAX_BYTES:,}")
        return self._archive.read(name)

    def name(self, index: int) -> str:
        """The picture's name in the tree."""
        return self.names[index]

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return TreeImages, (self.path, self.names, self.zipped)


@dataclass(frozen=True)
class Tree:
    """What a folder or a zip holds. Names that begin with a dot, and ``__MACOSX``, are not looked at."""

    path: Path
    names: Sequence[str]
    """Of all pictures, as POSIX paths below ``path``, sorted by their parts."""
    others: Sequence[str]
    """Of all files whose suffix is no picture's, sorted alike."""
    key: str
    """Changes with the pictures' names, sizes and times; a zip's with its own size and time."""
    zipped: bool

    def images(self, names: Sequence[str]) -> TreeImages:
        """Some of its pictures."""
        return TreeImages(self.path, names, self.zipped)

    def folders(self, below: str = "") -> list[str]:
        """The names of the folders in ``below`` (empty: at the top) that hold pictures at any depth, sorted."""
        prefix = f"{below}/" if below else ""
        rest = (name[len(prefix) :] for name in self.names if name.startswith(prefix))
        return sorted({name.partition("/")[0] for name in rest if "/" in name})


def open_tree(path: Path) -> Tree:
    """List a folder, following links, or a zip.

    Raises AbsentError where ``path`` is not there, MissingError where it, or a folder in it, cannot be read,
    where it is no zip, and where a zip has names that lead out of it.
    """
    stamp(path)
    if not path.is_dir():
        return _open_zip(path)
    try:
        found = sorted(_walk(path, "", frozenset()), key=lambda item: item[0].split("/"))
    except OSError as error:
        raise MissingError(f"{error.filename} cannot be read: {error.strerror}") from error
    pictures = [item for item in found if _is_picture(item[0])]
    names = tuple(name for name, *_ in pictures)
    others = tuple(name for name, *_ in found if not _is_picture(name))
    return Tree(path, names, others, stamps_key(pictures), zipped=False)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (a million names: no Path for each)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of every file below; ``above`` are the folders on the way, so that no link loops."""
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            name = f"{prefix}{entry.name}"
            if entry.is_dir() and not _is_picture(entry.name):
                yield from _walk(folder / entry.name, f"{name}/", above | {here})
            else:
                seen = _status(entry)
                yield name, seen.st_size, seen.st_mtime_ns


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    """Of the file; of a link that leads nowhere its own, for it is the reading of it that is to be told."""
    try:
        return entry.stat()
    except FileNotFoundError:
        return entry.stat(follow_symlinks=False)


def _open_zip(path: Path) -> Tree:
    size, time = stamp(path)
    try:
        with zipfile.ZipFile(path) as archive:
            files = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except OSError as error:
        raise MissingError(f"{path} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise MissingError(f"{path} is neither a folder nor a sound zip: {error}") from error
    for name in files:
        if "\\" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise MissingError(f"{path} holds '{name}', a name that leads out of it: it was made to do harm")
    shown = {name for name in files if not any(map(_is_hidden, name.split("/")))}
    names = sorted(shown, key=lambda name: name.split("/"))
    pictures, others = ([name for name in names if _is_picture(name) is kind] for kind in (True, False))
    return Tree(path, tuple(pictures), tuple(others), stamps_key([(path.name, size, time)]), zipped=True)
