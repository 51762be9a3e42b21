"""DiffAugment against what its parts must do to an image."""

from __future__ import annotations

import pytest
import torch

from ganbench.api import UsageError
from ganbench.options import resolve_options, typed_options
from ganbench.zoo.augmentation.diffaugment import DiffAugment
from ganbench.zoo.augmentation.none import NoAugmentation
from ganbench.zoo.augmentation.shift import random_offsets, shift


def draws(seed=3):
    return torch.Generator().manual_seed(seed)


def images(batch=64, side=16, dtype=torch.float64):
    return torch.rand(batch, 3, side, side, dtype=dtype, generator=draws(1)) * 2 - 1


def test_none_is_nothing():
    x, source = images(), draws()
    state = source.get_state()
    assert NoAugmentation()(x, source) is x
    assert torch.equal(source.get_state(), state)


def test_color_by_hand():
    x, source = images(5), draws()
    brightness, saturation, contrast = (torch.rand(5, 1, 1, 1, generator=source).double() for _ in range(3))
    bright = x + brightness - 0.5
    grey = bright.mean(1, keepdim=True)
    saturated = grey + 2 * saturation * (bright - grey)
    mean = saturated.flatten(1).mean(1).view(5, 1, 1, 1)
    expected = mean + (contrast + 0.5) * (saturated - mean)
    torch.testing.assert_close(DiffAugment(policy=("color",))(x, draws()), expected)


def test_translation_by_hand():
    x = images(200)
    moved = DiffAugment(policy=("translation",))(x, draws())
    rows, columns = random_offsets(x, 1 / 8, draws())
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    for before, after, r, c in zip(x, moved, rows.tolist(), columns.tolist(), strict=True):
        expected = torch.zeros_like(before)
        for i in range(16):
            for j in range(16):
                if 0 <= i + r < 16 and 0 <= j + c < 16:
                    expected[:, i, j] = before[:, i + r, j + c]
        assert torch.equal(after, expected)


def test_a_reflected_shift():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    rows, columns = torch.tensor([-1]), torch.tensor([2])
    # Rows 1, 0, 1, 2 and columns 2, 3, 2, 1.
    expected = x[:, :, [1, 0, 1, 2]][:, :, :, [2, 3, 2, 1]]
    assert torch.equal(shift(x, rows, columns, border="reflection"), expected)


@pytest.mark.parametrize("side", [16, 15, 4])
def test_cutout_is_a_square_that_a_border_may_cut(side):
    x = torch.ones(500, 3, side, side)
    holes = DiffAugment(policy=("cutout",))(x, draws()) == 0
    size = int(side / 2 + 0.5)
    seen = set()
    for hole in holes:
        assert torch.equal(hole[0], hole[1])
        rows, columns = hole[0].any(1).nonzero().flatten(), hole[0].any(0).nonzero().flatten()
        assert hole[0].sum() == len(rows) * len(columns)
        assert len(rows) == rows[-1] - rows[0] + 1
        assert (size + 1) // 2 <= len(rows) <= size or rows[0] == 0 or rows[-1] == side - 1
        seen.add((int(rows[0]), int(rows[-1])))
    first = range(-(size // 2), side + (1 - size % 2) - size // 2)
    assert seen == {(max(f, 0), min(f + size, side) - 1) for f in first}


@pytest.mark.parametrize("policy", [("color",), ("translation",), ("cutout",), ("color", "translation", "cutout")])
def test_gradients(policy):
    x = images(2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: DiffAugment(policy=policy)(x, draws()), (x,))


def test_chance_comes_from_the_draws_alone():
    x, state, augment = images(), torch.get_rng_state(), DiffAugment()
    assert torch.equal(augment(x, draws(3)), augment(x, draws(3)))
    assert not torch.equal(augment(x, draws(3)), augment(x, draws(4)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_shape_type_and_values_are_those_of_any_format(memory_format):
    x = images(dtype=torch.float32)
    out = DiffAugment()(x.contiguous(memory_format=memory_format), draws())
    assert (out.shape, out.dtype) == (x.shape, x.dtype)
    torch.testing.assert_close(out, DiffAugment()(x, draws()))


def test_the_policy_is_checked():
    assert resolve_options(DiffAugment, {}, "augmentation") == {"policy": ["color", "translation", "cutout"]}
    assert typed_options(DiffAugment, {"policy": ["cutout"]}) == {"policy": ("cutout",)}
    with pytest.raises(UsageError, match=r"augmentation\.policy"):
        resolve_options(DiffAugment, {"policy": ["colour"]}, "augmentation")
