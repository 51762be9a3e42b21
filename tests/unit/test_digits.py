"""The embedded digits: what they hold, how they are split, and that their pixels never change."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import avg_pool2d

from ganbench.errors import UsageError
from ganbench.zoo.dataset.digits import RESOLUTIONS, digits

FINGERPRINTS = {
    8: "54deb0ce0c15601516e32690d3f1f057c11dd665e201711325acbd2a344fd37d",
    16: "bf92b08b012aa9ab36fa1ff4fe0783f7774fc3391adbc9408b6fc54eb7957e6d",
    32: "7d90d37f0dd2f30ef2a5b19f8b9eda828cfdf04174914b75c1f5c8538b95cf2d",
    64: "1a3f9232b0f2beb5fe34df6608aa6b8b67aaa21c4c10c3973931ac5d46e3884e",
}


def originals() -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits()
    return bunch.images, bunch.target


def halves() -> tuple[list[int], list[int]]:
    """The rule of the split, told the slow way: indices into the file."""
    seen, train, held_out = [0] * 10, [], []
    for index, label in enumerate(originals()[1]):
        (held_out if seen[label] % 2 else train).append(index)
        seen[label] += 1
    return train, held_out


@pytest.mark.parametrize("resolution", FINGERPRINTS)
def test_pixels_are_the_same_everywhere(resolution):
    assert digits(resolution).fingerprint == FINGERPRINTS[resolution]


@pytest.mark.parametrize("resolution", [8, 24, 32, 128])
def test_shapes_types_and_range(resolution):
    data = digits(resolution)
    assert data.num_classes == 10
    for split, count in ((data.train, 901), (data.held_out, 896)):
        assert split.images.shape == (count, 3, resolution, resolution)
        assert split.images.dtype == torch.uint8
        assert split.images.is_contiguous()
        assert split.labels.dtype == torch.int64
        assert (split.images.min(), split.images.max()) == (0, 255)
        assert (split.images == split.images[:, :1]).all()


def test_every_original_is_in_one_half_by_the_rule():
    images, labels = originals()
    data = digits(8)
    for split, index in zip((data.train, data.held_out), halves(), strict=True):
        assert torch.equal(split.labels, torch.from_numpy(labels[index]))
        # At 8x8 nothing is interpolated: 0 to 16 became 0 to 255, rounded half up.
        exact = np.floor(images[index] * 255 / 16 + 0.5)
        np.testing.assert_array_equal(split.images[:, 0].numpy(), exact)


def test_halves_share_no_image_and_hold_every_class_alike():
    data = digits(8)
    train, held_out = ({image.numpy().tobytes() for image in s.images} for s in (data.train, data.held_out))
    assert len(train) == 901
    assert not train & held_out
    counts = data.train.labels.bincount() - data.held_out.labels.bincount()
    assert set(counts.tolist()) <= {0, 1}


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_every_enlarged_digit_shrinks_to_its_own_original(resolution):
    small, large = digits(8).held_out.images, digits(resolution).held_out.images
    shrunk = avg_pool2d(large.float(), resolution // 8)
    assert (shrunk - small).abs().mean() < 13
    distance = torch.cdist(shrunk[:, 0].flatten(1), small[:, 0].float().flatten(1))
    assert torch.equal(distance.argmin(1), torch.arange(len(small)))


@pytest.mark.parametrize("resolution", [24, 40])
def test_an_odd_factor_keeps_the_original_pixels(resolution):
    factor = resolution // 8
    centres = digits(resolution).train.images[:, :, factor // 2 :: factor, factor // 2 :: factor]
    assert torch.equal(centres, digits(8).train.images)


def test_enlarging_agrees_with_catmull_rom_in_floating_point():
    weights = np.zeros((32, 8))
    for i in range(32):
        position = (i + 0.5) / 4 - 0.5
        base = int(np.floor(position))
        for j in range(base - 1, base + 3):
            x = abs(position - j)
            near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            weights[i, min(max(j, 0), 7)] += near if x <= 1 else far
    images = originals()[0][halves()[1]]
    smooth = (weights @ images @ weights.T * 255 / 16).clip(0, 255)
    assert np.abs(smooth - digits(32).held_out.images[:, 0].numpy()).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("resolution", [0, -8, 4, 28, 136, 256])
def test_other_resolutions_are_refused_with_what_there_is(resolution):
    with pytest.raises(UsageError, match=rf"8, 16, 24, .*, 128, not {resolution}$"):
        digits(resolution)
    assert resolution not in RESOLUTIONS
