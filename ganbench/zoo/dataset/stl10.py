"""STL-10: the binary files of the publisher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ganbench.api import DatasetCard, MissingError, RawData, RawSplit, Source, files_key, reads

_SIDE = 96
_BYTES = 3 * _SIDE * _SIDE


@dataclass(frozen=True)
class _Binary:
    """Images of one or more files one after the other; each is three planes of columns from top to bottom.

    They are read one by one, for the unlabelled ones are 2.8 GB.
    """

    files: tuple[tuple[Path, int], ...]
    """With the number of images in each."""

    def __len__(self) -> int:
        return sum(count for _, count in self.files)

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        for path, count in self.files:
            if index < count:
                columns = np.fromfile(path, np.uint8, _BYTES, offset=index * _BYTES)
                return columns.reshape(3, _SIDE, _SIDE).transpose(2, 1, 0)
            index -= count
        raise IndexError(index)

    def name(self, index: int) -> str:
        """Its number, counted from 0 over all files."""
        return f"image {index}"


def _download(root: Path) -> None:
    """By torchvision's address and digest of the archive."""
    from torchvision.datasets import STL10
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(STL10.url, str(root), filename=STL10.filename, md5=STL10.tgz_md5)


@reads(
    DatasetCard(
        about="113,000 photographs at 96 px: 5,000 train and 8,000 test of 10 classes, 100,000 unlabeled",
        place="stl10_binary",
        get="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz, unpacked",
        download=_download,
    )
)
def stl10(root: Path, *, split: Literal["train", "unlabeled", "train+unlabeled"] = "train+unlabeled") -> Source:
    """STL-10 at 96 px: trains on ``split``, holds out the 8,000 of test.

    Only 'train' (5,000) has classes, ten of them; the 100,000 of 'unlabeled' have none, and so has a mixture.
    Source: Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011.
    """
    folder = root / "stl10_binary"
    parts = split.split("+")
    images = [f"{part}_X.bin" for part in parts]
    needed = [*images, "test_X.bin", *(["train_y.bin", "test_y.bin", "class_names.txt"] if split == "train" else [])]

    def read() -> RawData:
        train, test = _Binary(tuple(map(_counted, (folder / name for name in images)))), _counted(folder / "test_X.bin")
        held_out = _Binary((test,))
        if split != "train":
            return RawData(_unlabelled(split, train), _unlabelled("test", held_out))
        return RawData(
            RawSplit("train", train, _labels(folder / "train_y.bin")),
            RawSplit("test", held_out, _labels(folder / "test_y.bin")),
            tuple((folder / "class_names.txt").read_text(encoding="utf-8").split()),
        )

    return Source(files_key(folder, needed), read)


def _unlabelled(name: str, images: _Binary) -> RawSplit:
    return RawSplit(name, images, np.zeros(len(images), np.int64))


def _labels(path: Path) -> NDArray[np.int64]:
    """Classes are counted from 1 in the file."""
    return np.fromfile(path, np.uint8).astype(np.int64) - 1


def _counted(path: Path) -> tuple[Path, int]:
    """A file of images and their number."""
    count, rest = divmod(path.stat().st_size, _BYTES)
    if rest:
        raise MissingError(f"{path} has {rest} bytes beyond {count} whole images of {_BYTES}")
    return path, count
