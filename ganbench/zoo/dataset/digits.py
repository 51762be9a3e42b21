"""scikit-learn's handwritten digits: the data set that is embedded, so that everything runs offline."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganbench.api import ImageData, ImageSplit, UsageError

RESOLUTIONS = tuple(range(8, 129, 8))
"""What :func:`digits` can make of the 8x8 originals."""

_SIDE, _INK, _CLASSES = 8, 16, 10
"""Of an original: pixels a side, its largest value, how many digits there are."""


def digits(resolution: int) -> ImageData:
    """The 1,797 handwritten digits of scikit-learn, enlarged: 901 to train on, 896 held out, 10 classes.

    Images are uint8 [N, 3, R, R], white ink (255) on black (0) with three equal channels; labels int64 [N]
    are the digits. Both halves keep the file's order. The k-th image of its class, counted from 0 in file
    order, trains where k is even and is held out where it is odd. Hence both halves hold every class alike;
    the parity of the plain index would not do, for the file cycles through 0 to 9.

    The originals are 8x8 with values 0 to 16; Catmull-Rom interpolation with clamped borders enlarges
    them in integers throughout, so that every machine makes the same pixels.

    Raises UsageError for a resolution that is not a multiple of 8 between 8 and 128.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test part).
    """
    if resolution not in RESOLUTIONS:
        known = ", ".join(map(str, RESOLUTIONS))
        raise UsageError(f"the digits come at a resolution of {known}, not {resolution}")
    table = _read()
    pixels = _enlarge(table[:, :-1].reshape(-1, _SIDE, _SIDE), resolution // _SIDE)
    images = torch.from_numpy(pixels).unsqueeze(1).repeat(1, 3, 1, 1)
    labels = torch.from_numpy(table[:, -1].copy())
    rank = _rank_in_class(labels)
    train, held_out = rank % 2 == 0, rank % 2 == 1
    return ImageData(
        train=ImageSplit(images[train], labels[train]),
        held_out=ImageSplit(images[held_out], labels[held_out], "held-out"),
        num_classes=_CLASSES,
    )


def _read() -> NDArray[np.int64]:
    """scikit-learn's file, [1797, 65]: 64 pixels and the label. Read here, since to import the package for it
    would take a third of the time in which a run starts.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",", dtype=np.int64)


def _rank_in_class(labels: torch.Tensor) -> torch.Tensor:
    """How many earlier images bear the same label: int64 [N]."""
    earlier = torch.nn.functional.one_hot(labels, _CLASSES).cumsum(0) - 1
    return earlier.gather(1, labels[:, None]).squeeze(1)


def _enlarge(originals: NDArray[np.int64], factor: int) -> NDArray[np.uint8]:
    """[N, 8, 8] with values 0 to 16 -> uint8 [N, 8 * factor, 8 * factor] with values 0 to 255.

    All in int64: an integer product goes through no BLAS, and no rounding depends on an order of summation.
    The largest number, 16 * 255 * 2 * (16 * factor**3)**2 at factor 16, is far below 2**63.
    """
    weights, unit = _catmull_rom(factor)
    enlarged: NDArray[Any] = weights @ originals @ weights.T
    whole = _INK * unit * unit
    # Rounded half up. The filter's negative lobes reach beyond the range, hence the clip.
    return ((2 * 255 * enlarged + whole) // (2 * whole)).clip(0, 255).astype(np.uint8)


def _catmull_rom(factor: int) -> tuple[NDArray[np.int64], int]:
    """Interpolation weights [8 * factor, 8] as integers, and the integer that stands for a weight of one.

    Output pixel i has its centre at (2i + 1 - factor) / (2 * factor) in original pixels. With that position's
    fraction t = a / d, d = 2 * factor, the cubic's four weights are polynomials in t with halves for
    coefficients: times 2 * d**3 they are whole.
    """
    d = 2 * factor
    weights = np.zeros((_SIDE * factor, _SIDE), dtype=np.int64)
    for i in range(_SIDE * factor):
        base, a = divmod(2 * i + 1 - factor, d)
        taps = (
            -(a**3) + 2 * a**2 * d - a * d**2,
            3 * a**3 - 5 * a**2 * d + 2 * d**3,
            -3 * a**3 + 4 * a**2 * d + a * d**2,
            a**3 - a**2 * d,
        )
        for offset, weight in zip((-1, 0, 1, 2), taps, strict=True):
            weights[i, min(max(base + offset, 0), _SIDE - 1)] += weight
    return weights, 2 * d**3
