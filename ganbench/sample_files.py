"""Samples as files: a folder of PNGs, one PNG with a grid, or an ``.npz``. Each appears whole or not at all."""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from ganbench.errors import StoreError, UsageError
from ganbench.evaluate.bank import Bank
from ganbench.store import write_atomically

Format = Literal["png", "npz", "grid"]

LARGEST_GRID = 4096
"""Images in one picture."""


def format_of(out: Path) -> Format:
    """By the name: ``.npz`` is an array, ``.png`` a grid, anything else a folder of PNGs."""
    by_suffix: dict[str, Format] = {".npz": "npz", ".png": "grid"}
    return by_suffix.get(out.suffix.lower(), "png")


def check_free(out: Path, kind: Format, count: int) -> None:
    """Raise UsageError where something is there already, or a grid would be too large; before any work is done."""
    if kind == "grid" and count > LARGEST_GRID:
        raise UsageError(f"a grid of {count} images cannot be looked at: ask for {LARGEST_GRID} at most, or a folder")
    if out.is_dir() and kind == "png":
        if any(out.iterdir()):
            raise UsageError(f"{out} is not empty: choose another folder with --out, or empty it")
    elif out.exists():
        raise UsageError(f"{out} is there already: choose another name with --out, or move it away")


def write_samples(out: Path, kind: Format, bank: Bank) -> None:
    """Write the samples; the folder above is made where it is missing. Raises StoreError where that fails."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        {"png": _write_folder, "npz": _write_array, "grid": _write_grid}[kind](out, bank)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror}; choose another place with --out") from error


def _write_folder(out: Path, bank: Bank) -> None:
    """``000000.png``, or with labels ``000000-class3.png``."""
    digits = max(6, len(str(len(bank.images) - 1)))
    with _aside(out) as folder:
        folder.mkdir()
        for index, image in _each(bank):
            label = "" if bank.labels is None else f"-class{int(bank.labels[index])}"
            to_pil_image(image).save(folder / f"{index:0{digits}d}{label}.png")


def _write_array(out: Path, bank: Bank) -> None:
    """``arr_0`` uint8 [N, H, W, 3] and, with labels, ``arr_1`` int64 [N]; as large as the bank is in memory."""
    arrays = [bank.images[:].permute(0, 2, 3, 1).contiguous().numpy()]
    if bank.labels is not None:
        arrays.append(bank.labels.numpy())
    with _aside(out) as path, path.open("wb") as file:
        np.savez(file, *arrays)


def _write_grid(out: Path, bank: Bank) -> None:
    """As square as their number allows."""
    columns = math.ceil(math.sqrt(len(bank.images)))
    buffer = io.BytesIO()
    to_pil_image(make_grid(bank.images[:], nrow=columns, padding=2, pad_value=255)).save(buffer, format="PNG")
    write_atomically(out, buffer.getvalue())


def _each(bank: Bank) -> Iterator[tuple[int, Tensor]]:
    for index in range(len(bank.images)):
        yield index, bank.images[index : index + 1][0]


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """A name beside, which becomes ``out`` at the end of the block, or is deleted where the block is left early."""
    path = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        yield path
        path.replace(out)
    finally:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
