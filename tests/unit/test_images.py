"""A file of images is indexed like the tensor that it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganbench.errors import MissingError
from ganbench.images import ImageFile

PIXELS = torch.arange(5 * 3 * 2 * 4, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(5, 3, 2, 4)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> ImageFile:
    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, PIXELS.numpy())
    return ImageFile(path)


@given(st.slices(5))
def test_slices(file: ImageFile, index: slice) -> None:
    expected = PIXELS[list(range(5))[index]] if len(range(5)[index]) else PIXELS[:0]
    assert torch.equal(file[index], expected)


@given(st.lists(st.integers(0, 4), max_size=9))
def test_indices(file: ImageFile, index: list[int]) -> None:
    chosen = torch.tensor(index, dtype=torch.int64)
    assert torch.equal(file[chosen], PIXELS[chosen])


def test_shape_and_bounds(file: ImageFile) -> None:
    assert file.shape == PIXELS.shape
    assert len(file) == 5
    for outside in (5, -1):
        with pytest.raises(IndexError, match="outside the 5 images"):
            file[torch.tensor([0, outside])]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"text", "is no array file"),
        (np.zeros((2, 3, 2, 2), np.float32), "not images as uint8"),
        (np.zeros((2, 2, 3), np.uint8), "not images as uint8"),
        (np.zeros((2, 3, 2, 2), np.uint8, order="F"), "not images as uint8"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: object, complaint: str) -> None:
    path = tmp_path / "other.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(MissingError, match=complaint):
        ImageFile(path)


def test_a_cut_or_absent_file_is_refused(file: ImageFile, tmp_path: Path) -> None:
    path = tmp_path / "cut.npy"
    path.write_bytes(file.path.read_bytes()[:-1])
    with pytest.raises(MissingError, match="bytes of pixels, not 120"):
        ImageFile(path)
    with pytest.raises(MissingError, match="cannot be read"):
        ImageFile(tmp_path / "absent.npy")
