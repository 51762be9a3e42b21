"""ImageNet (ILSVRC2012): the publisher's tree of pictures, and its development kit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from ganbench.api import DatasetCard, MissingError, RawData, RawSplit, Source, Tree, files_key, open_tree, reads

_KIT = "ILSVRC2012_devkit_t12/data"
_META, _TRUTH = f"{_KIT}/meta.mat", f"{_KIT}/ILSVRC2012_validation_ground_truth.txt"
_VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


@reads(
    DatasetCard(
        about="photographs of 1,000 classes: 1,281,167 train, 50,000 val",
        place="imagenet",
        get="https://image-net.org/challenges/LSVRC/2012/2012-downloads.php: ILSVRC2012_img_train.tar unpacked "
        "into train/<wnid>/, ILSVRC2012_img_val.tar into val/ (with or without folders of classes; without them "
        "the development kit ILSVRC2012_devkit_t12 beside it is needed)",
    )
)
def imagenet(root: Path) -> Source:
    """ImageNet 2012: 1,281,167 images to train on and 50,000 held out (val), 1,000 classes.

    Class k is the k-th of the sorted WordNet ids, as in torchvision; the development kit, where it is there,
    names them, and its ground truth labels a ``val/`` without folders.
    Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", arXiv 1409.0575.
    """
    folder = root / "imagenet"
    train, val = open_tree(folder / "train"), open_tree(folder / "val")
    kit = [name for name in (_META, _TRUTH) if (folder / name).exists()]
    if not val.folders():
        kit = [_META, _TRUTH]

    def read() -> RawData:
        wnids = train.folders()
        return RawData(
            _split("train", train, [_folder(train, name) for name in train.names], wnids),
            _split("val", val, _wnids_of(val, folder), wnids),
            _class_names(wnids, folder / _META),
        )

    return Source(f"{train.key}{val.key}{files_key(folder, kit)}", read)


def _folder(tree: Tree, name: str) -> str:
    """The class folder that an image lies in."""
    wnid, slash, _ = name.partition("/")
    if not slash:
        raise MissingError(f"{tree.path / name} lies in no folder of a class: move it into one, or away")
    return wnid


def _split(name: str, tree: Tree, wnids: list[str], classes: list[str]) -> RawSplit:
    index = {wnid: label for label, wnid in enumerate(classes)}
    if strangers := sorted(set(wnids) - index.keys()):
        raise MissingError(f"{tree.path} has the class {strangers[0]}, of which train/ has no image")
    return RawSplit(name, tree.images(tree.names), np.array([index[wnid] for wnid in wnids], np.int64))


def _wnids_of(val: Tree, folder: Path) -> list[str]:
    """The class of each image of ``val/``: by its folder, else by its number in the kit's ground truth."""
    if val.folders():
        return [_folder(val, name) for name in val.names]
    synsets = _synsets(folder / _META)
    truth = (folder / _TRUTH).read_text(encoding="ascii").split()
    if len(truth) != len(val.names):
        raise MissingError(f"{folder / _TRUTH} has {len(truth)} labels, and {val.path} {len(val.names)} images")
    wnids = []
    for name in val.names:
        numbered = _VALIDATION.fullmatch(name)
        number = int(numbered[1]) if numbered else 0
        if not 1 <= number <= len(truth):
            raise MissingError(f"{val.path / name} is not named as ILSVRC2012_val_00000001.JPEG is, up to {len(truth)}")
        identifier = truth[number - 1]
        if identifier not in synsets:
            raise MissingError(f"{folder / _TRUTH} names the class {identifier}, which {folder / _META} has not")
        wnids.append(synsets[identifier][0])
    return wnids


def _synsets(path: Path) -> dict[str, tuple[str, str]]:
    """ILSVRC2012_ID -> WordNet id and words, of the classes proper: those without children."""
    try:
        synsets = np.atleast_1d(loadmat(path, squeeze_me=True)["synsets"])
        return {
            str(int(row["ILSVRC2012_ID"])): (str(row["WNID"]), str(row["words"]))
            for row in synsets
            if int(row["num_children"]) == 0
        }
    # A damaged file fails in every way there is.
    except Exception as error:
        raise MissingError(f"{path} cannot be read as the kit's table of classes: {error}") from error


def _class_names(wnids: list[str], meta: Path) -> tuple[str, ...]:
    """The WordNet id and, where the kit is there, its first word."""
    words = {wnid: text.partition(",")[0] for wnid, text in _synsets(meta).values()} if meta.exists() else {}
    return tuple(f"{wnid} {words[wnid]}" if wnid in words else wnid for wnid in wnids)
