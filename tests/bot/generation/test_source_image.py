"""Pictures to draw from: made upright, opaque and small; what is none, or a bomb, is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bot.generation.errors import UnusableImage
from bot.generation.source_image import MAX_STORED_SIDE, prepare_source


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_a_picture_becomes_an_opaque_png(format: str) -> None:
    picture = opened(prepare_source(encoded(Image.new("RGB", (40, 30), "red"), format)))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (40, 30))


def test_transparency_becomes_white() -> None:
    assert opened(prepare_source(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0))))).getpixel((3, 3)) == (255, 255, 255)


def test_a_photograph_taken_sideways_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert opened(prepare_source(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif))).size == (20, 40)


def test_a_large_image_is_stored_smaller_in_the_same_shape() -> None:
    assert opened(prepare_source(encoded(Image.new("L", (5000, 2500))))).size == (MAX_STORED_SIDE, MAX_STORED_SIDE // 2)


def test_a_large_picture_that_is_resampled_twice_is_nearly_that_resampled_once() -> None:
    """It is kept smaller here, and brought to the drawing's size by the engine."""
    waves = np.sin(np.arange(3000) / 90)
    values = (127 + 60 * waves[:2000, None] + 60 * waves[None, :]).astype(np.uint8)
    image = Image.fromarray(values).convert("RGB")
    once, twice = (
        np.asarray(each.resize((384, 256), Image.Resampling.LANCZOS), float)
        for each in (image, opened(prepare_source(encoded(image))))
    )
    assert np.abs(once - twice).max() <= 3 and np.abs(once - twice).mean() < 0.6


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def a_bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def without_pixels(format: str) -> bytes:
    """A file whose last third, where the pixels are, is nothing but zeros."""
    data = encoded(Image.effect_noise((64, 64), 50), format)
    return data[: -len(data) // 3] + bytes(len(data) // 3)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "can't read that file as a picture"),
        (b"GIF89a" + bytes(100), "can't read that file as a picture"),
        (encoded(Image.new("RGB", (64, 64)))[:60], "can't read that file as a picture"),
        (a_bomb(7000), "is too large"),
        (a_bomb(60_000), "can't read that file as a picture"),
        (a_bomb(100), "can't read that file as a picture"),
        (without_pixels("AVIF"), "can't read that file as a picture"),
        (encoded(Image.new("RGB", (64, 64)), "AVIF").replace(b"av01", b"av02"), "can't read that file as a picture"),
        (encoded(Image.new("RGB", (8, 8)), "TIFF"), "can't read that file as a picture"),
    ],
)
def test_unusable_source_images_are_refused_with_an_explanation(data: bytes, sentence: str) -> None:
    with pytest.raises(UnusableImage, match=sentence):
        prepare_source(data)
