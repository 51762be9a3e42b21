"""CelebA, aligned and cropped: the pictures and the publisher's tables beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganbench.api import (
    DatasetCard,
    MissingError,
    RawData,
    RawSplit,
    Source,
    Tree,
    UsageError,
    files_key,
    open_tree,
    reads,
)

_IMAGES, _PARTITION = "img_align_celeba", "list_eval_partition.txt"
_IDENTITY, _ATTRIBUTES = "identity_CelebA.txt", "list_attr_celeba.txt"
_PARTS = {"train": 0, "valid": 1, "test": 2}


@reads(
    DatasetCard(
        about="202,599 aligned faces at 178 x 218: 162,770 train, 19,867 valid, 19,962 test; no classes of its own",
        place="celeba",
        get="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html: img_align_celeba.zip (unpacked or not) and "
        "list_eval_partition.txt",
    )
)
def celeba(root: Path, *, labels: str = "none", held_out: Literal["test", "valid"] = "test") -> Source:
    """CelebA, aligned: the faces of the partition 'train' to train on, those of ``held_out`` held out.

    ``labels`` is 'none', 'identity' (10,177 classes, those of the two splits apart) or one of the 40 attributes,
    such as 'Smiling', with the classes 'no' and 'yes'.
    Source: Liu, Luo, Wang and Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015.
    """
    folder = root / "celeba"
    table = {"none": [], "identity": [_IDENTITY]}.get(labels, [_ATTRIBUTES])
    tables = files_key(folder, [_PARTITION, *table])
    unpacked = (folder / _IMAGES).is_dir()
    tree = open_tree(folder / (_IMAGES if unpacked else f"{_IMAGES}.zip"))

    def read() -> RawData:
        names, parts = _table(folder / _PARTITION)
        values, classes = _labels(folder, labels, names)
        train, rest = (
            _split(name, tree, "" if unpacked else f"{_IMAGES}/", names, values, parts[:, 0] == _PARTS[name])
            for name in ("train", held_out)
        )
        return RawData(train, rest, classes)

    return Source(f"{tables}{tree.key}", read)


def _split(
    name: str, tree: Tree, prefix: str, names: list[str], labels: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> RawSplit:
    images = tree.images(tuple(f"{prefix}{names[index]}" for index in np.flatnonzero(chosen)))
    return RawSplit(name, images, labels[chosen])


def _labels(folder: Path, kind: str, names: list[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """A label for each picture and the classes' names."""
    if kind == "none":
        return np.zeros(len(names), np.int64), ()
    path = folder / (_IDENTITY if kind == "identity" else _ATTRIBUTES)
    titles = [] if kind == "identity" else _titles(path)
    rows, values = _table(path, skip=0 if kind == "identity" else 2)
    if rows != names:
        raise MissingError(
            f"{path} has {len(rows)} rows, not one for each of the {len(names)} of {_PARTITION}, in order"
        )
    if kind == "identity":
        return values[:, 0] - 1, tuple(str(number + 1) for number in range(int(values[:, 0].max())))
    if kind not in titles:
        raise UsageError(f"dataset.labels is 'none', 'identity' or one of {', '.join(titles)}, not '{kind}'")
    return (values[:, titles.index(kind)] > 0).astype(np.int64), ("no", "yes")


def _titles(path: Path) -> list[str]:
    """The attributes: the second line of their table; the first is the number of rows."""
    with path.open(encoding="utf-8") as file:
        return [file.readline(), file.readline()][1].split()


def _table(path: Path, skip: int = 0) -> tuple[list[str], NDArray[np.int64]]:
    """Rows of a picture's name and whole numbers: N names and int64 [N, columns]."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[skip:] if line.strip()]
    try:
        values = np.array([list(map(int, row[1:])) for row in rows], np.int64)
    except ValueError as error:
        raise MissingError(f"{path} is no table of names and numbers: {error}") from None
    if values.ndim != 2 or 0 in values.shape:
        raise MissingError(f"{path} is no table of names and numbers")
    return [row[0] for row in rows], values
