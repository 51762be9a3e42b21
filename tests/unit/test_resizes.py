"""The batched resizes beside torch-fidelity's and clean-fid's own, at any size."""

from __future__ import annotations

import pytest
import torch
from cleanfid.resize import build_resizer
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from ganbench.clean_fid import SIZE, clean_resize, clean_resize_strict, resize_weights
from ganbench.zoo.extractor.tensorflow_resize import tensorflow_resize

SIDES = st.integers(1, 400)


def pixels(height: int, width: int, seed: int, count: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), generator=draw).to(torch.uint8)


@settings(max_examples=25)
@given(height=SIDES, width=SIDES, size=st.sampled_from([299, 224, 288]), seed=st.integers(0, 9))
def test_tensorflows_resize_is_torch_fidelitys_to_the_last_bit(height: int, width: int, size: int, seed: int) -> None:
    images = pixels(height, width, seed, 2)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(size, size), align_corners=False)
    assert torch.equal(tensorflow_resize(images, size), theirs)


@settings(max_examples=25)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 9))
def test_the_clean_resize_is_clean_fids_within_1e_4_of_255(height: int, width: int, seed: int) -> None:
    images = pixels(height, width, seed)
    theirs = torch.from_numpy(build_resizer("clean")(images[0].permute(1, 2, 0).numpy())).permute(2, 0, 1)
    ours = clean_resize(images)
    assert ours.shape == (1, 3, SIZE, SIZE)
    assert ours.dtype == torch.float32
    assert (ours[0] - theirs).abs().max() <= 1e-4
    assert torch.equal(clean_resize_strict(images)[0], theirs)


@pytest.mark.parametrize("side", [32, 128, 256, 512, 1024])
def test_at_the_usual_sizes_too(side: int) -> None:
    images = pixels(side, side, 0)
    assert (clean_resize(images) - clean_resize_strict(images)).abs().max() <= 1e-4


def test_an_image_of_the_networks_size_stays_as_it_is() -> None:
    images = pixels(SIZE, SIZE, 0)
    assert torch.equal(clean_resize(images), images.float())
    assert torch.equal(tensorflow_resize(images, SIZE), images.float())


@given(given_side=st.integers(1, 2000))
def test_every_place_is_a_mean_of_those_near_it(given_side: int) -> None:
    weights = resize_weights(given_side, SIZE)
    assert weights.shape == (SIZE, given_side)
    assert torch.allclose(weights.sum(1), torch.ones(SIZE), atol=1e-5)
    assert int((weights != 0).sum(1).max()) <= 4 * max(given_side / SIZE, 1) + 2
