"""Batch t is a pure function of (seed, t) wherever the images lie, and an epoch shows every image once."""

from __future__ import annotations

import functools
import gc
import math
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import DEADLINE
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import ganbench.batches
from ganbench.batches import DEVICE_SHARE, Batches, room_for
from ganbench.data import ImageSplit
from ganbench.errors import MissingError
from ganbench.images import ImageFile, Images

CPU = torch.device("cpu")
DEVICES = [CPU, *([torch.device("cuda")] if torch.cuda.is_available() else [])]
SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 2**63 - 1)
SplitOf = Callable[[int], ImageSplit]


def numbered(size: int) -> ImageSplit:
    """Image i has the label i; all its channels are 2 i on the left and 2 i + 1 on the right."""
    labels = torch.arange(size)
    rows = torch.stack([2 * labels, 2 * labels + 1], dim=1).to(torch.uint8)
    return ImageSplit(rows[:, None, None, :].expand(size, 3, 2, 2).contiguous(), labels)


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory) -> SplitOf:
    """The numbered images of any size, in a file."""
    folder = tmp_path_factory.mktemp("filed")

    @functools.cache
    def of(size: int) -> ImageSplit:
        split, path = numbered(size), folder / f"{size}.npy"
        np.save(path, split.images[:].numpy())
        return ImageSplit(ImageFile(path), split.labels)

    return of


def shown(batches: Batches, steps: range) -> list[int]:
    return [int(label) for step in steps for label in batches(step)[1]]


def pixels(images: Tensor) -> Tensor:
    """Back to 0 to 255."""
    return ((images + 1) * 127.5).round().long()


def threads() -> list[threading.Thread]:
    """That gather batches."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@given(size=SIZES, batch=st.integers(1, 30), seed=SEEDS)
def test_no_image_repeats_within_an_epoch(size: int, batch: int, seed: int) -> None:
    order = shown(Batches(numbered(size), batch, seed, CPU), range(3 * size))
    for epoch in range(len(order) // size):
        assert sorted(order[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(size=SIZES, batches=st.tuples(st.integers(1, 30), st.integers(1, 30)), seed=SEEDS)
def test_the_order_does_not_depend_on_the_batch(size: int, batches: tuple[int, int], seed: int) -> None:
    one, other = (shown(Batches(numbered(size), batch, seed, CPU), range(1 + 40 // batch)) for batch in batches)
    assert one[:40] == other[:40]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@given(
    size=SIZES,
    batch=st.integers(1, 30),
    seed=SEEDS,
    flip=st.booleans(),
    steps=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    back=st.booleans(),
)
def test_a_batch_is_the_same_wherever_the_images_lie_and_whatever_was_asked_before(
    filed: SplitOf,
    device: torch.device,
    size: int,
    batch: int,
    seed: int,
    flip: bool,
    steps: list[int],
    back: bool,
) -> None:
    steps = [each for step in steps for each in (step, step + 1, step)] if back else steps
    expected = {step: Batches(numbered(size), batch, seed, CPU, flip=flip)(step) for step in steps}
    for split, room in ((numbered(size), None), (filed(size), math.inf), (filed(size), 0), (numbered(size), 0)):
        with Batches(split, batch, seed, device, flip=flip, room=room) as batches:
            for step in steps:
                images, labels = batches(step)
                assert torch.equal(images.cpu(), expected[step][0])
                assert torch.equal(labels.cpu(), expected[step][1])
                assert images.device.type == labels.device.type == device.type
                assert images.is_contiguous(memory_format=torch.channels_last)


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
    assert torch.equal(pixels(images)[:, 0, 0, 0], 2 * labels)


def test_pixels_reach_from_minus_one_to_one() -> None:
    values = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 4, 4)
    images, labels = Batches(ImageSplit(values, torch.arange(3)), 3, 0, CPU)(0)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    found = [images[labels == i].unique().item() for i in range(3)]
    assert found[0] == -1
    assert abs(found[1] + 0.6) < 1e-6
    assert found[2] == 1


@pytest.mark.parametrize("room", [None, 0])
def test_what_is_done_to_a_batch_stays_there(room: float | None) -> None:
    split = numbered(5)
    before = split.images[:].clone()
    with Batches(split, 5, 0, CPU, room=room) as batches:
        batches(0)[0].zero_()
        assert torch.equal(split.images[:], before)
        assert pixels(batches(0)[0]).sum() == 3 * 2 * 2 * before[:, 0, 0].to(torch.int64).sum() / 2


@given(size=SIZES, batch=st.integers(1, 12), seed=SEEDS, step=st.integers(0, 20))
def test_a_flip_mirrors_or_leaves(size: int, batch: int, seed: int, step: int) -> None:
    plain, labels = Batches(numbered(size), batch, seed, CPU)(step)
    flipped, same_labels = Batches(numbered(size), batch, seed, CPU, flip=True)(step)
    assert torch.equal(labels, same_labels)
    for one, other in zip(plain, flipped, strict=True):
        assert torch.equal(one, other) or torch.equal(one.flip(2), other)


def test_flips_are_balanced_and_drawn_at_every_showing() -> None:
    batches = Batches(numbered(8), 8, 0, CPU, flip=True)
    mirrored = torch.zeros(500, 8, dtype=torch.bool)
    for epoch in range(500):
        images, labels = batches(epoch)
        mirrored[epoch, labels] = pixels(images)[:, 0, 0, 0] % 2 == 1
    assert abs(mirrored.float().mean() - 0.5) < 0.025  # three standard errors
    assert bool(((mirrored.float().mean(0) - 0.5).abs() < 0.08).all())
    assert len({tuple(row) for row in mirrored.tolist()}) > 200  # of 256 patterns


class Watched:
    """Images that tell who read what, and fail at the reading of given number, counted from 0."""

    def __init__(self, split: ImageSplit, fail_at: int | None = None) -> None:
        self._images, self._left = split.images, fail_at
        self.shape = split.images.shape
        self.read: queue.Queue[tuple[str, list[int]]] = queue.Queue()

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        assert isinstance(index, Tensor)
        self.read.put((threading.current_thread().name, index.tolist()))
        if self._left == 0:
            raise MissingError("the file is gone")
        self._left = None if self._left is None else self._left - 1
        return self._images[index]

    def next(self) -> tuple[str, list[int]]:
        """The oldest reading that was not told yet, once it has begun."""
        return self.read.get(timeout=DEADLINE)


def test_the_next_batch_is_gathered_before_it_is_asked_for_and_none_twice() -> None:
    images = Watched(numbered(12))
    expected = [shown(Batches(numbered(12), 4, 7, CPU), range(step, step + 1)) for step in range(60)]
    with Batches(ImageSplit(images, torch.arange(12)), 4, 7, CPU, room=0) as batches:
        for asked, gathered in (((0, 0), (0, 1)), ((1, 1, 1), (2,)), ((57, 57), (57, 58)), ((58,), (59,))):
            for step in asked:
                assert batches(step)[1].tolist() == expected[step]
            told = [images.next() for _ in gathered]
            assert [index for _, index in told] == [expected[step] for step in gathered]
            assert {name for name, _ in told} == {"batches_0"}
    assert images.read.empty()


def test_what_the_thread_meets_is_raised_where_the_batch_is_asked_for() -> None:
    images = Watched(numbered(12), fail_at=1)
    with Batches(ImageSplit(images, torch.arange(12)), 4, 7, CPU, room=0) as batches:
        batches(0)
        images.next(), images.next()
        batches(0)
        for _ in range(2):
            with pytest.raises(MissingError, match="the file is gone"):
                batches(1)


def test_a_file_that_became_shorter_is_told(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, numbered(12).images[:].numpy())
    with Batches(ImageSplit(ImageFile(path), torch.arange(12)), 12, 0, CPU, room=0) as batches:
        os.truncate(path, path.stat().st_size - 1)
        with pytest.raises(MissingError, match="became shorter"):
            batches(0)


def test_the_thread_ends_with_the_block() -> None:
    with Batches(numbered(5), 2, 0, CPU, room=0) as batches:
        batches(0)
        (thread,) = threads()
        batches(3)
        assert threads() == [thread]
    assert not thread.is_alive()
    batches.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        batches(8)


def test_the_thread_ends_when_the_batches_are_forgotten() -> None:
    batches = Batches(numbered(5), 2, 0, CPU, room=0)
    batches(0)
    (thread,) = threads()
    del batches
    gc.collect()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_there_is_a_thread_only_where_the_images_take_more_room_than_there_is(
    filed: SplitOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 5 * 3 * 2 * 2
    for split, file_bytes, streamed in ((filed(5), size, 0), (filed(5), size - 1, 1), (numbered(5), size - 1, 0)):
        monkeypatch.setattr(ganbench.batches, "FILE_BYTES", file_bytes)
        with Batches(split, 2, 0, CPU) as batches:
            batches(0)
            assert len(threads()) == streamed


def test_a_gpu_gives_a_share_of_its_free_memory(filed: SplitOf, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def free_and_total(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return 1000, 4000

    monkeypatch.setattr(torch.cuda, "mem_get_info", free_and_total)
    gpu = torch.device("cuda", 1)
    images: list[Images] = [numbered(5).images, filed(5).images]
    assert [room_for(each, gpu) for each in images] == [DEVICE_SHARE * 1000] * 2
    assert asked == [gpu] * 2


def test_a_file_is_loaded_in_pieces(filed: SplitOf, monkeypatch: pytest.MonkeyPatch) -> None:
    for piece in (1, 12, 30, 1000):
        monkeypatch.setattr(ganbench.batches, "_PIECE_BYTES", piece)
        images, labels = Batches(filed(5), 5, 0, CPU)(0)
        assert torch.equal(pixels(images)[:, 0, 0, 0], 2 * labels)


@pytest.mark.parametrize("room", [None, 0])
def test_the_time_spent_on_batches_is_counted(room: float | None) -> None:
    with Batches(numbered(5), 2, 0, CPU, room=room) as batches:
        assert batches.waited_seconds == 0
        batches(0)
        once = batches.waited_seconds
        assert once > 0
        batches(0)
        assert batches.waited_seconds > once
