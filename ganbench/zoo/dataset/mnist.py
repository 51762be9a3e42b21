"""MNIST and Fashion-MNIST: four IDX files, plain or compressed by gzip, where torchvision keeps them."""

from __future__ import annotations

import gzip
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganbench.api import (
    AbsentError,
    ArrayImages,
    DatasetCard,
    MissingError,
    RawData,
    RawSplit,
    Source,
    files_key,
    reads,
)

_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_FILES = tuple(f"{half}-{kind}-ubyte" for half in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def _download(name: str, root: Path) -> None:
    """By torchvision, which checks each file's digest."""
    from torchvision import datasets

    getattr(datasets, name)(str(root), download=True)


@reads(
    DatasetCard(
        about="70,000 handwritten digits at 28 px, grey: 60,000 train, 10,000 test",
        place="MNIST/raw",
        get="https://ossci-datasets.s3.amazonaws.com/mnist/, the four .gz files",
        download=partial(_download, "MNIST"),
    )
)
def mnist(root: Path) -> Source:
    """MNIST: 60,000 digits to train on and 10,000 held out (test), at 28 px, grey, 10 classes.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.
    """
    return _source(root / "MNIST" / "raw", tuple("0123456789"))


@reads(
    DatasetCard(
        about="70,000 articles of clothing at 28 px, grey, of 10 classes: 60,000 train, 10,000 test",
        place="FashionMNIST/raw",
        get="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/, the four .gz files",
        download=partial(_download, "FashionMNIST"),
    )
)
def fashion_mnist(root: Path) -> Source:
    """Fashion-MNIST: 60,000 images to train on and 10,000 held out (test), at 28 px, grey, 10 classes.

    Source: Xiao, Rasul and Vollgraf, arXiv 1708.07747.
    """
    return _source(root / "FashionMNIST" / "raw", _CLOTHES)


def _source(folder: Path, classes: tuple[str, ...]) -> Source:
    names = [_present(folder, name) for name in _FILES]

    def read() -> RawData:
        train, train_labels, test, test_labels = (_read_idx(folder / name) for name in names)
        return RawData(_split("train", train, train_labels, folder), _split("test", test, test_labels, folder), classes)

    return Source(files_key(folder, names), read)


def _present(folder: Path, name: str) -> str:
    """The file's name as it lies there, unpacked or not."""
    for found in (name, f"{name}.gz"):
        if (folder / found).exists():
            return found
    raise AbsentError(folder / name)


def _split(name: str, images: NDArray[np.uint8], labels: NDArray[np.uint8], folder: Path) -> RawSplit:
    if images.ndim != 3 or labels.ndim != 1:
        raise MissingError(f"{folder} has {name} images {list(images.shape)} and labels {list(labels.shape)}")
    return RawSplit(name, ArrayImages(images), labels.astype(np.int64))


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of bytes: 0, 0, 8, the number of axes, each axis' length as big-endian uint32, the bytes.

    Raises MissingError for a file that is none, or is shorter or longer than it says.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise MissingError(f"{path} cannot be read: {error}") from error
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise MissingError(f"{path} is no IDX file of bytes")
    axes = content[3]
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", axes, 4))
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if pixels.size != np.prod(shape, dtype=object):
        raise MissingError(f"{path} has {pixels.size} bytes, not those of {list(shape)}")
    return pixels.reshape(shape)
