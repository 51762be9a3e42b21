"""A plug-in file with a data set that notes every reading of an image in a file below the data root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganbench.api import DatasetCard, PositiveInt, RawData, RawSplit, Source, files_key, reads, register


@dataclass(frozen=True)
class Pictures:
    """Plain pictures, each of a colour of its own; large ones are slow to shrink."""

    root: Path
    count: int
    first: int
    side: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        number = self.first + index
        log = os.open(self.root / "readings", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{number} {os.getpid()}\n".encode())
        os.close(log)
        if (self.root / f"broken-{number}").exists():
            raise OSError("out of order")
        return np.full((self.side, self.side, 3), [number % 256, number // 256 % 256, 77], np.uint8)

    def name(self, index: int) -> str:
        """Its number."""
        return f"picture {self.first + index}"


@register("dataset", "counted")
@reads(DatasetCard(about="counted pictures", place="size", get="this file"))
def counted(root: Path, *, count: PositiveInt = 1000, side: PositiveInt = 8) -> Source:
    """Pictures, a tenth of them of each class."""

    def read() -> RawData:
        splits = (
            RawSplit(name, Pictures(root, size, first, side), np.arange(size) % 10)
            for name, size, first in (("train", count, 0), ("test", count // 4, count))
        )
        return RawData(*splits, tuple("abcdefghij"))

    return Source(files_key(root, ["size"]), read)
