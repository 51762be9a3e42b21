"""The images of a reference: a rule, no draw of the run's, nothing read before it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench.data import ImageSplit
from ganbench.evaluate.selection import select
from ganbench.images import ImageFile


def split(count: int) -> ImageSplit:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 2, 2)
    return ImageSplit(images, torch.arange(count) % 7)


def test_all_images_are_the_split_itself() -> None:
    whole = split(10)
    for count in (None, 10, 11):
        assert select(whole, count).images is whole.images
        assert select(whole, count).labels is whole.labels


@pytest.mark.parametrize("count", [1, 2, 50, 99])
def test_some_are_drawn_without_repeats_and_keep_their_labels(count: int) -> None:
    images, labels = select(split(100), count)
    assert tuple(images.shape) == (count, 3, 2, 2)
    assert len(images) == len(labels) == count
    found = images[:][:, 0, 0, 0].tolist()
    assert found == sorted(set(found))
    assert [number % 7 for number in found] == labels.tolist()
    assert images[3:5][:, 0, 0, 0].tolist() == found[3:5]
    assert images[torch.tensor([0])][0, 0, 0, 0] == found[0]
    if count > 1:
        assert found != list(range(count))


def test_it_is_the_same_every_time_whatever_the_global_state() -> None:
    first = select(split(100), 20).images[:]
    torch.manual_seed(99)
    assert torch.equal(select(split(100), 20).images[:], first)
    small, large = (set(select(split(100), n).images[:][:, 0, 0, 0].tolist()) for n in (20, 40))
    assert small < large


def test_a_file_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = split(100)
    np.save(tmp_path / "images.npy", whole.images.numpy())
    chosen = select(ImageSplit(ImageFile(tmp_path / "images.npy"), whole.labels), 30).images
    read: list[int] = []
    original = ImageFile._read
    monkeypatch.setattr(
        ImageFile, "_read", lambda self, into, first: read.append(len(into)) or original(self, into, first)
    )
    assert torch.equal(chosen[:4], select(whole, 30).images[:4])
    assert read == [12, 12, 12, 12]
