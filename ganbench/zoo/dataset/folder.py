"""Any tree of pictures, in a folder or a zip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganbench.api import DatasetCard, Fraction, MissingError, RawData, RawSplit, Source, Tree, open_tree, reads

_HELD_OUT = ("test", "val", "valid", "validation")


@reads(
    DatasetCard(
        about="your own pictures: any tree, with folders of classes or none, with train/ and test/ or not, or a zip",
        place=".",
        get="point --data-root at it, or put it below the data root and name it by --set dataset.path=NAME",
    )
)
def folder(
    root: Path,
    *,
    path: str = ".",
    classes: Literal["auto", "folders", "none"] = "auto",
    held_out: str | None = None,
    held_out_fraction: Fraction = 0.0,
) -> Source:
    """The pictures of a folder or a zip, ``path`` below the data root, at any depth, in the order of their names.

    Splits: a folder ``train/`` beside ``held_out`` (by default the first that is there of test, val, valid and
    validation) are the two splits; else everything trains, but for ``held_out_fraction`` of each class, spread
    evenly over its names. Without either nothing is held out and the training images are their own reference.

    Classes: 'folders' takes the folders at the top of a split, sorted; 'none' takes none; 'auto' takes them
    where there are two at least and no picture lies beside them.
    """
    tree = open_tree(root / path)
    layout = _layout(tree, held_out)

    def read() -> RawData:
        if not tree.names:
            raise MissingError(f"{tree.path} holds no picture: {len(tree.others)} files with other suffixes")
        train = _Part("train", [name for name in tree.names if name.startswith(layout.train)], layout.train)
        names = _class_names(train, classes, tree)
        split = _labelled(tree, train, names)
        if layout.held_out:
            rest = [name for name in tree.names if name.startswith(layout.held_out)]
            return _raw(tree, split, _labelled(tree, _Part(layout.held_out[:-1], rest, layout.held_out), names), names)
        if held_out_fraction:
            return _raw(tree, *_divided(tree, split, train.names, held_out_fraction), names)
        return _raw(tree, split, None, names)

    return Source(tree.key, read)


@dataclass(frozen=True)
class _Layout:
    """The prefix of each split's names; empty for a split that is the whole tree, or is not there."""

    train: str = ""
    held_out: str = ""


@dataclass(frozen=True)
class _Part:
    name: str
    names: Sequence[str]
    prefix: str


def _layout(tree: Tree, held_out: str | None) -> _Layout:
    folders = tree.folders()
    if held_out is not None and not {"train", held_out} <= set(folders):
        raise MissingError(f"{tree.path} has no folders train/ and {held_out}/ with pictures: leave out held_out")
    chosen = [name for name in ((held_out,) if held_out else _HELD_OUT) if name in folders]
    if "train" not in folders or not chosen:
        return _Layout()
    return _Layout("train/", f"{chosen[0]}/")


def _class_names(train: _Part, classes: str, tree: Tree) -> tuple[str, ...]:
    tops = [name[len(train.prefix) :].partition("/") for name in train.names]
    folders = tuple(sorted({top for top, slash, _ in tops if slash}))
    loose = [top for top, slash, _ in tops if not slash]
    if classes == "folders" and (loose or not folders):
        where = f"'{loose[0]}' lies in none" if loose else "there are none"
        raise MissingError(f"{tree.path / train.prefix} should hold folders of classes alone: {where}")
    if classes == "none" or loose or (classes == "auto" and len(folders) < 2):
        return ()
    return folders


def _labelled(tree: Tree, part: _Part, classes: tuple[str, ...]) -> RawSplit:
    labels = np.zeros(len(part.names), np.int64)
    if classes:
        index = {name: label for label, name in enumerate(classes)}
        tops = [name[len(part.prefix) :].partition("/")[0] for name in part.names]
        if strangers := sorted(set(tops) - index.keys()):
            raise MissingError(f"{tree.path / part.prefix} has the class '{strangers[0]}', which train/ has not")
        labels = np.array([index[top] for top in tops], np.int64)
    return RawSplit(part.name, tree.images(tuple(part.names)), labels)


def _divided(tree: Tree, whole: RawSplit, names: Sequence[str], fraction: float) -> tuple[RawSplit, RawSplit]:
    """Hold out image k of its class, counted from 0, where k * fraction passes a whole number."""
    seen: dict[int, int] = {}
    held = np.zeros(len(names), bool)
    for place, label in enumerate(whole.labels.tolist()):
        count = seen.get(label, 0)
        held[place] = int((count + 1) * fraction) > int(count * fraction)
        seen[label] = count + 1
    if held.all() or not held.any():
        which = "all" if held.all() else "none"
        raise MissingError(f"held_out_fraction {fraction} holds out {which} of the {len(names)} images: change it")

    def part(name: str, chosen: NDArray[np.bool_]) -> RawSplit:
        return RawSplit(name, tree.images(tuple(np.asarray(names, object)[chosen])), whole.labels[chosen])

    return part("train", ~held), part("held-out fraction", held)


def _raw(tree: Tree, train: RawSplit, held_out: RawSplit | None, classes: tuple[str, ...]) -> RawData:
    notes = []
    if tree.others:
        notes.append(f"{len(tree.others)} files have no picture's suffix and are left out, such as {tree.others[0]}")
    used = len(train) + (0 if held_out is None else len(held_out))
    if used < len(tree.names):
        notes.append(f"{len(tree.names) - used} pictures lie in neither split's folder and are left out")
    return RawData(train, held_out, classes, tuple(notes))
