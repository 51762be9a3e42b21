"""LSUN: one LMDB database of encoded pictures for each category and split."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganbench.api import DatasetCard, MissingError, RawData, RawSplit, Source, UsageError, files_key, reads

CATEGORIES = (
    "bedroom", "bridge", "church_outdoor", "classroom", "conference_room", "dining_room", "kitchen", "living_room",
    "restaurant", "tower",
)  # fmt: skip


@functools.cache
def _environment(path: Path) -> Any:
    """The database, opened once in a process: LMDB allows no more."""
    try:
        import lmdb
    except ImportError:
        raise MissingError("lsun needs the package lmdb: pip install lmdb") from None
    try:
        return lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False, max_readers=1)
    except lmdb.Error as error:
        raise MissingError(f"{path} cannot be opened as an LMDB database: {error}") from error


@dataclass(frozen=True)
class _Databases:
    """The pictures of one or more databases one after the other, each in the order of its keys."""

    keys: tuple[tuple[Path, bytes], ...]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int, /) -> bytes:
        path, key = self.keys[index]
        with _environment(path).begin(buffers=False) as transaction:
            return bytes(transaction.get(key))

    def name(self, index: int) -> str:
        """Its key."""
        path, key = self.keys[index]
        return f"{path.name}/{key.decode(errors='replace')}"


@reads(
    DatasetCard(
        about="scenes of ten categories, 126,227 to 3,033,042 train and 300 val in each",
        place="lsun",
        get="https://github.com/fyu/lsun: <category>_train_lmdb and <category>_val_lmdb, unpacked; "
        "and the package lmdb: pip install lmdb",
    )
)
def lsun(root: Path, *, categories: str = "bedroom") -> Source:
    """LSUN: the pictures of one category without classes, or of several, joined by '+', as so many classes.

    What ends in ``_train_lmdb`` trains, what ends in ``_val_lmdb`` is held out where every category has it.
    Source: Yu et al., arXiv 1506.03365.
    """
    chosen = categories.split("+")
    for category in chosen:
        if category not in CATEGORIES:
            raise UsageError(f"dataset.categories joins some of {', '.join(CATEGORIES)} by '+', not '{category}'")
    folder = root / "lsun"
    names = {split: [f"{category}_{split}_lmdb" for category in chosen] for split in ("train", "val")}
    held_out = all((folder / name).exists() for name in names["val"])
    used = names["train"] + (names["val"] if held_out else [])

    def read() -> RawData:
        return RawData(
            _split("train", [folder / name for name in names["train"]]),
            _split("val", [folder / name for name in names["val"]]) if held_out else None,
            tuple(chosen) if len(chosen) > 1 else (),
        )

    return Source(files_key(folder, [f"{name}/data.mdb" for name in used]), read)


def _split(name: str, paths: list[Path]) -> RawSplit:
    keys: list[tuple[Path, bytes]] = []
    labels: list[int] = []
    for label, path in enumerate(paths):
        with _environment(path).begin() as transaction:
            found = [(path, bytes(key)) for key in transaction.cursor().iternext(keys=True, values=False)]
        keys += found
        labels += [label] * len(found)
    return RawSplit(name, _Databases(tuple(keys)), np.array(labels, np.int64))
