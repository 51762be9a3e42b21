"""Image files in a folder, or in a zip of one, which is never unpacked to disk."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ganbench.errors import MissingError

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Of files that are taken for images, in either case: those that clean-fid takes."""

_LARGEST = 1 << 30
"""Bytes above which a member of a zip is no image but an attack, or a mistake."""


@dataclass(frozen=True)
class NamedFile:
    """A file that may be an image; its name is told where it is none."""

    name: str
    read: Callable[[], bytes]


def folder_files(folder: Path) -> list[NamedFile]:
    """All image files below a folder, in the order of their paths as text, which is torch-fidelity's.

    Raises MissingError where there are none.
    """
    paths = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]  # noqa: PTH118
    found = sorted(path for path in paths if _may_be_image(os.path.relpath(path, folder)))
    _check_any(folder, found, len(paths))
    return [NamedFile(path, partial(_read, Path(path))) for path in found]


def zip_files(path: Path) -> list[NamedFile]:
    """All image files in a zip, in the order of their names; those are told and never followed.

    Raises MissingError for a file that is no zip, has no images, or has some under a password.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise MissingError(f"{path} is no zip that can be read: {error}") from error
    members = [member for member in archive.infolist() if not member.is_dir()]
    found = sorted((m for m in members if _may_be_image(m.filename)), key=lambda member: member.filename)
    _check_any(path, found, len(members))
    for member in found:
        if member.flag_bits & 1:
            raise MissingError(f"{path}: {member.filename} is under a password: make the zip without one")
        if member.file_size > _LARGEST:
            raise MissingError(f"{path}: {member.filename} would be {member.file_size} bytes: that is no image")
    return [NamedFile(f"{path}: {member.filename}", partial(_read_member, archive, member)) for member in found]


def _may_be_image(name: str) -> bool:
    """By the name alone; hidden files, and what macOS puts beside, are none."""
    parts = name.replace(os.sep, "/").split("/")
    hidden = any(part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in parts)
    return not hidden and parts[-1].lower().endswith(EXTENSIONS)


def _check_any(where: Path, found: Sequence[object], others: int) -> None:
    if not found:
        beside = f"only {others} files of other kinds" if others else "no file"
        raise MissingError(f"{where} has {beside}: images are files that end in {', '.join(EXTENSIONS)}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingError(f"{path} cannot be read: {error.strerror}") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(member)
    except Exception as error:  # zlib.error, BadZipFile, NotImplementedError, OSError: all damage
        raise MissingError(f"{archive.filename}: {member.filename} cannot be read: {error}") from error
