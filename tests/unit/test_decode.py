"""Any picture becomes RGB by one rule, and what is none is told in one line."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from formats import bomb
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ganbench.decode import BrokenImageError, decode, fit, read

RED = (200, 30, 10)


def encoded(image: Image.Image, style: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=style, **options)
    return buffer.getvalue()


def pixel(image: Image.Image) -> tuple[int, ...]:
    assert image.mode == "RGB"
    value = image.getpixel((0, 0))
    assert isinstance(value, tuple)
    return value


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (2, 2), 77), (77, 77, 77)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("RGB", (2, 2), RED), RED),
        (Image.new("RGB", (2, 2), RED).convert("P", palette=Image.Palette.ADAPTIVE), RED),
        (Image.new("RGBA", (2, 2), (*RED, 255)), RED),
        (Image.new("RGBA", (2, 2), (*RED, 0)), (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("LA", (2, 2), (10, 0)), (255, 255, 255)),
        (Image.fromarray(np.full((2, 2), 0xABCD, np.uint16)), (0xAB, 0xAB, 0xAB)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_modes_through_a_png(image: Image.Image, expected: tuple[int, ...]) -> None:
    assert pixel(read(encoded(image))) == expected
    assert pixel(read(image)) == expected


def test_a_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (2, 2), 0)
    image.putpalette([*RED, 0, 0, 255])
    assert pixel(read(encoded(image, transparency=0))) == (255, 255, 255)
    assert pixel(read(encoded(image, transparency=1))) == RED


def test_cmyk_and_a_16_bit_colour_png() -> None:
    assert pixel(read(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))) == (255, 0, 0)
    row = b"\0" + struct.pack(">3H", 0x1234, 0xABCD, 0xFF01)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert pixel(read(png)) == (0x12, 0xAB, 0xFF)


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (4, 2))
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read(encoded(image, exif=exif.tobytes()))
    assert turned.size == (2, 4)
    assert turned.getpixel((1, 0)) == RED


@given(width=st.integers(1, 40), height=st.integers(1, 40), resolution=st.sampled_from([1, 8, 16]))
def test_the_centre_square_is_kept(width: int, height: int, resolution: int) -> None:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    image = Image.fromarray(np.stack([x, y, x * 0], -1).astype(np.uint8))
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = np.asarray(fit(image, side))
    assert square[0, 0].tolist() == [left, top, 0]
    assert square[-1, -1].tolist() == [left + side - 1, top + side - 1, 0]
    out = decode(image, resolution)
    assert out.shape == (3, resolution, resolution)
    assert out.dtype == np.uint8


def test_shrinking_is_antialiased_and_a_fitting_image_is_untouched() -> None:
    checkers = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(decode(checkers, 16)[:, 2:-2, 2:-2].astype(int) - 127).max() <= 2
    assert np.array_equal(decode(checkers, 64), np.repeat(checkers[None], 3, 0))


def test_arrays_of_every_shape() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 5, 4), np.uint8)
    colour[..., 3] = 255
    assert np.array_equal(decode(colour, 5), colour[..., :3].transpose(2, 0, 1))
    assert np.array_equal(decode(colour[..., :1], 5), np.repeat(colour[None, ..., 0], 3, 0))
    assert np.array_equal(decode(colour.astype(np.uint16) << 8, 5), colour[..., :3].transpose(2, 0, 1))
    for bad in (colour.astype(np.float32), colour[..., :2], colour[0, :0, :3], colour[None]):
        with pytest.raises(BrokenImageError, match="not uint8 or uint16"):
            decode(bad, 5)


def test_what_is_no_picture_says_why(tmp_path: Path) -> None:
    jpeg = encoded(Image.effect_noise((64, 64), 90).convert("RGB"), "JPEG")
    text = tmp_path / "text.png"
    text.write_text("no image")
    for raw, message in (
        (text, "no image that Pillow knows"),
        (b"", "no image that Pillow knows"),
        (jpeg[: len(jpeg) // 2], "image file is truncated"),
        (bomb(), "more than 89,478,485 pixels, a decompression bomb"),
        (tmp_path, "Is a directory"),
        (tmp_path / "absent.png", "No such file or directory"),
        (encoded(Image.new("F", (2, 2)), "TIFF"), "floating-point pixels"),
    ):
        with pytest.raises(BrokenImageError, match=message):
            read(raw)


@given(data=st.data())
def test_a_damaged_file_never_raises_anything_else(data: st.DataObject) -> None:
    style = data.draw(st.sampled_from(["PNG", "GIF", "JPEG", "BMP", "TIFF", "WEBP"]))
    content = bytearray(encoded(Image.new("RGB", (9, 7), RED), style))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    with suppress(BrokenImageError):
        assert read(bytes(content[: data.draw(st.integers(0, len(content)))])).mode == "RGB"
