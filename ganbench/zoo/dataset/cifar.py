"""CIFAR-10 and CIFAR-100: the Python version of the publisher."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganbench.api import ArrayImages, DatasetCard, MissingError, RawData, RawSplit, Source, files_key, reads
from ganbench.zoo.dataset.cifar_pickle import read_batch


def _download(name: str, root: Path) -> None:
    """By torchvision's address and digest of the archive."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_and_extract_archive

    known = getattr(datasets, name)
    download_and_extract_archive(known.url, str(root), filename=known.filename, md5=known.tgz_md5)


@reads(
    DatasetCard(
        about="60,000 photographs at 32 px of 10 classes: 50,000 train, 10,000 test",
        place="cifar-10-batches-py",
        get="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz, unpacked",
        download=partial(_download, "CIFAR10"),
    )
)
def cifar10(root: Path) -> Source:
    """CIFAR-10: 50,000 images to train on and 10,000 held out (test), at 32 px, 10 classes.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    batches = tuple(f"data_batch_{number}" for number in range(1, 6))
    return _source(root / "cifar-10-batches-py", batches, "test_batch", "batches.meta", "labels", "label_names")


@reads(
    DatasetCard(
        about="60,000 photographs at 32 px of 100 classes (or 20 coarse ones): 50,000 train, 10,000 test",
        place="cifar-100-python",
        get="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz, unpacked",
        download=partial(_download, "CIFAR100"),
    )
)
def cifar100(root: Path, *, coarse: bool = False) -> Source:
    """CIFAR-100: 50,000 images to train on and 10,000 held out (test), at 32 px, 100 classes.

    ``coarse`` takes the 20 superclasses as labels. Source: as CIFAR-10.
    """
    kind = "coarse" if coarse else "fine"
    return _source(root / "cifar-100-python", ("train",), "test", "meta", f"{kind}_labels", f"{kind}_label_names")


def _source(folder: Path, train: tuple[str, ...], test: str, meta: str, labels: str, names: str) -> Source:
    def read() -> RawData:
        classes = read_batch(folder / meta).get(names)
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise MissingError(f"{folder / meta} has no list '{names}' of the classes' names")
        return RawData(
            train=_split("train", folder, train, labels),
            held_out=_split("test", folder, (test,), labels),
            classes=tuple(classes),
        )

    return Source(files_key(folder, (*train, test, meta)), read)


def _split(name: str, folder: Path, files: tuple[str, ...], key: str) -> RawSplit:
    parts = [_images_and_labels(folder / file, key) for file in files]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return RawSplit(name, ArrayImages(images), labels)


def _images_and_labels(path: Path, key: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """uint8 [N, 32, 32, 3] and int64 [N]; a row of the file is an image's red, green and blue plane."""
    batch = read_batch(path)
    data: Any = batch.get("data")
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3072:
        raise MissingError(f"{path} has no array 'data' of [N, 3072] bytes")
    labels: Any = batch.get(key)
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise MissingError(f"{path} has no list '{key}' of numbers")
    if len(labels) != len(data):
        raise MissingError(f"{path} has {len(data)} images and {len(labels)} labels")
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.asarray(labels, np.int64)
