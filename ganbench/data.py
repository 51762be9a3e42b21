"""A data set: labelled images as uint8 arrays, by split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from ganbench.images import Images


@dataclass(frozen=True)
class ImageSplit:
    """Labelled images of one split."""

    images: Images
    """uint8 [N, 3, R, R], 0 to 255: a tensor, or a file that is indexed like one."""
    labels: Tensor
    """int64 [N]."""
    name: str = "train"
    """What its publisher calls it: train, test, val, unlabeled."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A data set at one resolution: what trains, and what is held out."""

    train: ImageSplit
    held_out: ImageSplit | None
    """None where the data set has one split only: then nothing says what a perfect generator would score."""
    num_classes: int
    """0 where there are no classes; all labels are 0 then."""
    content_sha256: str | None = None
    """Over the pixels and labels of both splits, where whoever made the data knows it."""

    def __post_init__(self) -> None:
        """Two splits have two names: by them protocols and kept statistics tell one from the other."""
        if self.held_out is not None and self.held_out.name == self.train.name:
            object.__setattr__(self, "held_out", replace(self.held_out, name="held-out"))

    @cached_property
    def fingerprint(self) -> str:
        """``content_sha256``, else sha256 over the pixels and labels of both splits, with their shapes."""
        if self.content_sha256 is not None:
            return self.content_sha256
        digest = hashlib.sha256()
        for split in filter(None, (self.train, self.held_out)):
            for tensor in (split.images[:], split.labels):
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()
