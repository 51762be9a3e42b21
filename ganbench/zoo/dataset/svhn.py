"""The street view house numbers, cropped to a digit: MATLAB files of the publisher."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.io import loadmat

from ganbench.api import ArrayImages, DatasetCard, MissingError, RawData, RawSplit, Source, files_key, reads


def _download(root: Path) -> None:
    """By torchvision, which checks each file's digest."""
    from torchvision.datasets import SVHN

    for split in SVHN.split_list:
        SVHN(str(root / "svhn"), split=split, download=True)


@reads(
    DatasetCard(
        about="digits on house fronts at 32 px of 10 classes: 73,257 train, 26,032 test, 531,131 extra",
        place="svhn",
        get="http://ufldl.stanford.edu/housenumbers/, the files *_32x32.mat",
        download=_download,
    )
)
def svhn(root: Path, *, split: Literal["train", "train+extra"] = "train") -> Source:
    """SVHN, cropped: trains on ``split``, holds out the 26,032 of test; 32 px, label k is the digit k.

    Source: Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011.
    """
    folder = root / "svhn"
    names = [f"{part}_32x32.mat" for part in (*split.split("+"), "test")]

    def read() -> RawData:
        *train, test = (_read(folder / name) for name in names)
        images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
        return RawData(
            RawSplit(split, ArrayImages(images), labels),
            RawSplit("test", ArrayImages(test[0]), test[1]),
            tuple("0123456789"),
        )

    return Source(files_key(folder, names), read)


def _read(path: Path) -> tuple[Any, Any]:
    """uint8 [N, 32, 32, 3] and int64 [N]; in the file N comes last, and the digit 0 is called 10."""
    try:
        content = loadmat(path, variable_names=["X", "y"])
    # A damaged file fails in every way there is.
    except Exception as error:
        raise MissingError(f"{path} cannot be read as a MATLAB file: {error}") from error
    images, labels = content.get("X"), content.get("y")
    if images is None or images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3) or images.ndim != 4:
        raise MissingError(f"{path} has no images X of bytes [32, 32, 3, N]")
    if labels is None or labels.size != images.shape[3]:
        count = 0 if labels is None else labels.size
        raise MissingError(f"{path} has {images.shape[3]} images and {count} labels")
    return images.transpose(3, 0, 1, 2), labels.reshape(-1).astype(np.int64) % 10
