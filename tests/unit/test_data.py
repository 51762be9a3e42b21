"""A data set's fingerprint is its content."""

from __future__ import annotations

import torch

from ganbench.data import ImageData, ImageSplit


def numbered(size: int) -> ImageSplit:
    """Image i is filled with i and has the label i."""
    labels = torch.arange(size)
    return ImageSplit(labels.to(torch.uint8)[:, None, None, None].expand(size, 3, 2, 2).contiguous(), labels)


def test_the_fingerprint_sees_every_pixel_label_and_split() -> None:
    def fingerprint(train: ImageSplit, held_out: ImageSplit) -> str:
        return ImageData(train, held_out, 10).fingerprint

    a, b = numbered(4), numbered(5)
    pixel = ImageSplit(a.images.clone(), a.labels)
    pixel.images[3, 2, 1, 1] += 1
    label = ImageSplit(a.images, a.labels.flip(0))
    shape = ImageSplit(a.images.reshape(4, 3, 1, 4), a.labels)
    found = {
        fingerprint(*pair)
        for pair in ((a, b), (b, a), (pixel, b), (b, pixel), (label, b), (shape, b), (a, numbered(6)))
    }
    assert len(found) == 7
    assert fingerprint(numbered(4), numbered(5)) == fingerprint(a, b)


def test_two_splits_have_two_names() -> None:
    images, labels = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    names = {}
    for train, held_out in (("train", "train"), ("train", "val")):
        data = ImageData(ImageSplit(images, labels, train), ImageSplit(images, labels, held_out), 0)
        assert data.held_out is not None
        names[held_out] = (data.train.name, data.held_out.name)
    assert names == {"train": ("train", "held-out"), "val": ("train", "val")}
