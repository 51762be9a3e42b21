"""Any picture becomes RGB of one size, by one rule: :data:`RULE`.

Nothing else of the harness turns a file into pixels, so that a folder that trains and a folder that is scored
went through the same.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ganbench.errors import MissingError

RULE = (
    "EXIF orientation applied; the first frame; of 16 bits the upper 8; transparency over white; colour profiles "
    "ignored; RGB; the centre square of the short side; resized to R x R by Pillow's bilinear filter, "
    "antialiased where it shrinks"
)
"""What :func:`to_rgb` and :func:`fit` do.

Square and filter are those of SNGAN's code for ImageNet (pfnet-research/sngan_projection, datasets/imagenet.py),
which SAGAN's names as its reference; how the 128 px records that SAGAN's code reads were made is not published.
"""
RULE_VERSION = 1
"""Raised whenever the rule would give other pixels."""
MAX_PIXELS = 89_478_485
"""Of one picture, Pillow's own bound; a larger one is taken for a decompression bomb."""
MAX_BYTES = 2**28
"""Of one picture's file."""

Raw: TypeAlias = "Image.Image | NDArray[np.uint8] | NDArray[np.uint16] | Path | bytes"
"""A picture as a source has it: opened, as an array [H, W] or [H, W, 1, 3 or 4], as a file, or as a file's bytes."""


class BrokenImageError(MissingError):
    """A picture cannot be read; the message says why, without its name."""


def decode(raw: Raw, resolution: int) -> NDArray[np.uint8]:
    """A picture as uint8 [3, R, R] by :data:`RULE`. Raises BrokenImageError with the reason."""
    return np.asarray(fit(read(raw), resolution)).transpose(2, 0, 1)


def read(raw: Raw) -> Image.Image:
    """A picture in RGB at its own size. Raises BrokenImageError with the reason.

    Decoders raise whatever they like at a damaged file, hence the wide net.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if isinstance(raw, Path):
                with raw.open("rb") as file:
                    return to_rgb(_opened(file))
            return to_rgb(_opened(io.BytesIO(raw) if isinstance(raw, bytes) else raw))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BrokenImageError(f"more than {MAX_PIXELS:,} pixels, a decompression bomb") from None
    except UnidentifiedImageError:
        raise BrokenImageError("no image that Pillow knows") from None
    except OSError as error:
        raise BrokenImageError(error.strerror or str(error)) from error
    except BrokenImageError:
        raise
    except Exception as error:
        raise BrokenImageError(f"{type(error).__name__}: {error}") from error


def _opened(raw: Image.Image | BinaryIO | NDArray[np.uint8] | NDArray[np.uint16]) -> Image.Image:
    if isinstance(raw, np.ndarray):
        return _from_array(raw)
    if isinstance(raw, Image.Image):
        image = raw
    else:
        size = raw.seek(0, os.SEEK_END)
        if size > MAX_BYTES:
            raise BrokenImageError(f"a file of {size:,} bytes, above {MAX_BYTES:,}")
        raw.seek(0)
        image = Image.open(raw)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return image


def _from_array(array: NDArray[np.uint8] | NDArray[np.uint16]) -> Image.Image:
    """[H, W] or [H, W, C] as a picture."""
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or 0 in array.shape
        or array.shape[2:] not in ((), (3,), (4,))
    ):
        raise BrokenImageError(f"{array.dtype} {list(array.shape)}, not uint8 or uint16 [H, W] or [H, W, 1, 3 or 4]")
    return Image.fromarray(np.ascontiguousarray(array))


def to_rgb(image: Image.Image) -> Image.Image:
    """The first frame in RGB, 8 bits a channel, upright; the pixels are those of :data:`RULE`.

    Raises BrokenImageError for floating-point pixels, whose range nothing states, and what Pillow raises at a
    damaged file.
    """
    image.load()
    if image.mode == "F":
        raise BrokenImageError("floating-point pixels, whose range nothing states: save it with 8 bits")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values.clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        shown = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return image.convert("RGB")


def fit(image: Image.Image, resolution: int) -> Image.Image:
    """The centre square of the short side at R x R pixels; an odd margin loses its larger half below and right.

    A square of that size already is returned as it is.
    """
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side)) if width != height else image
    if side == resolution:
        return square
    return square.resize((resolution, resolution), Image.Resampling.BILINEAR)
