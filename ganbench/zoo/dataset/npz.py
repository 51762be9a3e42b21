"""Images in a NumPy archive."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganbench.api import ArrayImages, DatasetCard, MissingError, RawData, RawSplit, Source, files_key, reads


@reads(
    DatasetCard(
        about="your own images in a NumPy archive",
        place="images.npz",
        get="numpy.savez('images.npz', images=..., labels=..., test_images=..., test_labels=...), all but the "
        "first optional; --set dataset.path=NAME names another file below the data root",
    )
)
def npz(root: Path, *, path: str = "images.npz") -> Source:
    """Images of a file ``path`` below the data root, held in memory while they are prepared.

    ``images`` (or ``arr_0``) and ``test_images`` are uint8 or uint16 [N, H, W], [N, H, W, C] or [N, C, H, W] with C
    1, 3 or 4; ``labels`` and ``test_labels`` are whole numbers [N] counted from 0. Without ``test_images`` nothing
    is held out; without ``labels`` there are no classes.
    """

    def read() -> RawData:
        arrays = _load(root / path)
        images = "images" if "images" in arrays else "arr_0"
        if images not in arrays:
            raise MissingError(f"{root / path} has no array 'images' but {', '.join(arrays) or 'nothing'}")
        train = _split("train", arrays, images, "labels", root / path)
        held_out = (
            _split("test", arrays, "test_images", "test_labels", root / path) if "test_images" in arrays else None
        )
        if held_out is not None and ("labels" in arrays) is not ("test_labels" in arrays):
            raise MissingError(f"{root / path} labels one split and not the other")
        known = [split.labels.max(initial=0) for split in (train, held_out) if split is not None]
        classes = int(max(known)) + 1 if "labels" in arrays else 0
        return RawData(train, held_out, tuple(map(str, range(classes))))

    return Source(files_key(root, [path]), read)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays; none that would need unpickling."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise MissingError(f"{path} is a single array, no archive of arrays: save it with numpy.savez")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise MissingError(f"{path} cannot be read as a NumPy archive: {error}") from error


def _split(name: str, arrays: dict[str, NDArray[Any]], images: str, labels: str, path: Path) -> RawSplit:
    pixels, numbers = arrays[images], arrays.get(labels)
    if pixels.ndim == 4 and pixels.shape[3] not in (1, 3, 4) and pixels.shape[1] in (1, 3, 4):
        pixels = pixels.transpose(0, 2, 3, 1)
    grey, colour = pixels.ndim == 3, pixels.ndim == 4 and pixels.shape[3] in (1, 3, 4)
    if pixels.dtype not in (np.uint8, np.uint16) or not (grey or colour):
        raise MissingError(
            f"'{images}' in {path} is {pixels.dtype} {list(pixels.shape)}, not uint8 or uint16 [N, H, W], [N, H, W, C] "
            "or [N, C, H, W]"
        )
    if numbers is None:
        numbers = np.zeros(len(pixels), np.int64)
    if numbers.dtype.kind not in "iu":
        raise MissingError(f"'{labels}' in {path} are {numbers.dtype}, not whole numbers")
    return RawSplit(name, ArrayImages(pixels), numbers.reshape(-1).astype(np.int64))
