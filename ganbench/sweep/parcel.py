"""What a run wrote, on its way between two machines that share no folder.

A parcel holds the files that have changed and the names of all there are, so that the other folder can follow it:
what is pruned here goes there too. Each file arrives whole or not at all, and in such an order that the other folder
can be gone on with after every one of them: rows before the checkpoint that counts them; the result, with which all
is done, at the very end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ganbench.store import RunFolder, write_atomically

RESULT = "result.json"
_OF_THE_PLACE = frozenset({"spec.json", "log.txt"})
"""What every folder of a run has for itself."""


@dataclass(frozen=True)
class Parcel:
    """Files of a run, by their path in its folder."""

    files: dict[str, tuple[bytes, int]]
    """Content and time of change, in ns since 1970, of those that have changed."""
    names: frozenset[str]
    """All that there are."""


class Packer:
    """Packs what has changed in a run's folder since the last time."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, int]] = {}

    def pack(self) -> Parcel:
        """What has changed; a file that goes while this looks is left out.

        The result is looked for first, then checkpoints are read, then rows: so the rows are never fewer than a
        checkpoint counts, and with a result everything is final.
        """
        finished = self._folder.result.exists()
        paths = _records(self._folder)
        if not finished:
            paths.pop(RESULT, None)
        files: dict[str, tuple[bytes, int]] = {}
        seen: dict[str, tuple[int, int]] = {}
        for name in sorted(paths, key=_arrival, reverse=True):
            try:
                status = paths[name].stat()
                seen[name] = status.st_mtime_ns, status.st_size
                if seen[name] != self._known.get(name):
                    files[name] = paths[name].read_bytes(), status.st_mtime_ns
            except FileNotFoundError:
                seen.pop(name, None)
        self._known = seen
        return Parcel(files, frozenset(seen))


def unpack(parcel: Parcel, folder: RunFolder) -> None:
    """Let the folder follow the one that the parcel comes from. Raises StoreError where it cannot be written."""
    for name in sorted(parcel.files.keys() - {RESULT}, key=_arrival):
        _put(parcel, name, folder)
    for name, path in _records(folder).items():
        if name not in parcel.names:
            path.unlink(missing_ok=True)
    if RESULT in parcel.files:
        _put(parcel, RESULT, folder)


def _put(parcel: Parcel, name: str, folder: RunFolder) -> None:
    content, changed = parcel.files[name]
    path = folder.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    os.utime(path, ns=(changed, changed))


def _records(folder: RunFolder) -> dict[str, Path]:
    """What a run has written, by its path in the folder."""
    found = {str(path.relative_to(folder.path)): path for path in folder.path.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if name not in _OF_THE_PLACE and path.name[0] != "."}


def _arrival(name: str) -> tuple[int, str]:
    """By what order files arrive: pictures and rows, then digests, then checkpoints."""
    return {".sha256": 1, ".pt": 2}.get(Path(name).suffix, 0), name
