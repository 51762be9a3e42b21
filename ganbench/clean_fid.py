"""clean-fid's own way from an image to Inception's input, batched; and the library's, for the strict form.

clean-fid resizes each channel of each image by Pillow, bicubic with antialias, in float32, and clips to 0 to 255.
Pillow's resampling is linear and separable: two products with matrices of its filter's weights do the same for a
whole batch, on any device, within 1e-4 on the scale of 0 to 255. The weights are computed in float64, as Pillow
does; in float32 they would be off by ten times as much.
"""

from __future__ import annotations

import functools
import tempfile
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

SIZE = 299
"""The side of the images that Inception takes."""

CLEAN_RESIZE = "clean-fid: Pillow bicubic with antialias, to 299 px"
"""What the card of an extractor says whose own resize this is: its features then serve clean-fid's distance too."""

_SUPPORT, _A = 2.0, -0.5
"""Of Pillow's bicubic filter: its half width, and the slope that shapes it."""


def clean_resize(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 [B, 3, 299, 299] in 0 to 255, as clean-fid resizes, on the images' device.

    Call it where float32 products are computed in float32: TF32 is off by some tenths.
    """
    height, width = images.shape[2:]
    rows = resize_weights(height, SIZE).to(images.device)
    columns = resize_weights(width, SIZE).to(images.device)
    # Horizontally first, as Pillow does.
    return (rows @ (images.float() @ columns.T)).clamp_(0, 255)


@functools.lru_cache(maxsize=8)
def resize_weights(given: int, wanted: int) -> Tensor:
    """What each of ``wanted`` places takes of ``given`` ones: float32 [wanted, given], rows that sum to 1.

    Pillow's ``precompute_coeffs``: the filter is stretched by the scale where the image shrinks, cut at the
    borders and normalised.
    """
    scale = given / wanted
    stretch = max(scale, 1.0)
    centers = (np.arange(wanted) + 0.5) * scale
    first = np.maximum((centers - _SUPPORT * stretch + 0.5).astype(int), 0)
    last = np.minimum((centers + _SUPPORT * stretch + 0.5).astype(int), given)
    places = np.arange(given)[None]
    weights = _bicubic((places - centers[:, None] + 0.5) / stretch)
    weights[(places < first[:, None]) | (places >= last[:, None])] = 0
    return torch.from_numpy(weights / weights.sum(axis=1, keepdims=True)).float()


def _bicubic(x: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    x = np.abs(x)
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _A
    return np.where(x < 1, near, np.where(x < _SUPPORT, far, 0.0))


def clean_resize_strict(images: Tensor) -> Tensor:
    """The same by clean-fid's own function, image by image on the CPU."""
    from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    resized = [resize(image.permute(1, 2, 0).cpu().numpy()) for image in images]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous().to(images.device)


def clean_network(weights: BytesIO) -> nn.Module:
    """clean-fid's own network from the content of ``inception-2015-12-05.pt``, which was checked.

    float32 [B, 3, 299, 299] in 0 to 255 -> [B, 2048].
    """
    from cleanfid.inception_torchscript import InceptionV3W

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # It takes a folder and a fixed name. torch.jit is deprecated, and the format of the file.
        warnings.filterwarnings("ignore", r".*torch\.jit", FutureWarning)
        (Path(folder) / "inception-2015-12-05.pt").write_bytes(weights.getbuffer())
        network: nn.Module = InceptionV3W(folder, download=False)
    return network.requires_grad_(False).eval()
