"""Batch t is a pure function of (seed, t), and an epoch shows every image once."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from ganbench.data import Batches, ImageData, ImageSplit

CPU = torch.device("cpu")
SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 2**63 - 1)


def numbered(size: int) -> ImageSplit:
    """Image i is filled with i and has the label i."""
    labels = torch.arange(size)
    return ImageSplit(labels.to(torch.uint8)[:, None, None, None].expand(size, 3, 2, 2).contiguous(), labels)


def shown(batches: Batches, steps: range) -> list[int]:
    return [int(label) for step in steps for label in batches(step)[1]]


@given(size=SIZES, batch=st.integers(1, 30), seed=SEEDS)
def test_no_image_repeats_within_an_epoch(size: int, batch: int, seed: int) -> None:
    order = shown(Batches(numbered(size), batch, seed, CPU), range(3 * size))
    for epoch in range(len(order) // size):
        assert sorted(order[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(size=SIZES, batch=st.integers(1, 12), seed=SEEDS, steps=st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_batch_is_the_same_in_whatever_order_it_is_asked_for(
    size: int, batch: int, seed: int, steps: list[int]
) -> None:
    shared = Batches(numbered(size), batch, seed, CPU)
    for step in steps:
        fresh = Batches(numbered(size), batch, seed, CPU)
        assert torch.equal(shared(step)[0], fresh(step)[0])
        assert torch.equal(shared(step)[1], fresh(step)[1])


def test_another_seed_is_another_order() -> None:
    orders = {tuple(shown(Batches(numbered(12), 6, seed, CPU), range(2))) for seed in range(20)}
    assert len(orders) == 20


def test_every_epoch_has_its_own_order() -> None:
    batches = Batches(numbered(12), 12, 0, CPU)
    assert len({tuple(shown(batches, range(epoch, epoch + 1))) for epoch in range(20)}) == 20


@given(size=SIZES, batch=st.integers(1, 12), seed=SEEDS)
def test_images_and_labels_belong_together(size: int, batch: int, seed: int) -> None:
    images, labels = Batches(numbered(size), batch, seed, CPU)(3)
    assert images.shape == (batch, 3, 2, 2)
    assert labels.shape == (batch,)
    assert torch.equal(((images[:, 0, 0, 0] + 1) * 127.5).round().long(), labels)


def test_pixels_reach_from_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 4, 4)
    images, labels = Batches(ImageSplit(pixels, torch.arange(3)), 3, 0, CPU)(0)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    values = [images[labels == i].unique().item() for i in range(3)]
    assert values[0] == -1
    assert abs(values[1] + 0.6) < 1e-6
    assert values[2] == 1


def test_the_set_is_left_as_it_is() -> None:
    split = numbered(5)
    before = split.images.clone()
    Batches(split, 5, 0, CPU)(0)[0].zero_()
    assert torch.equal(split.images, before)


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
