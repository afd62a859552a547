"""Our PNG files are those that any program reads, pixel for pixel."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from inference.metadata import png_writer
from inference.metadata.png_writer import write_png


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (64, 5), (128, 96)])
def test_every_pixel_comes_back(size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    with Image.open(io.BytesIO(write_png(Image.fromarray(pixels), []))) as read:
        assert (read.mode, read.size) == ("RGB", size)
        assert (np.asarray(read) == pixels).all()


def test_texts_stand_before_the_pixels() -> None:
    file = write_png(Image.new("RGB", (8, 8), "red"), [(b"tEXt", b"name\0value")])
    with Image.open(io.BytesIO(file)) as read:
        assert read.info["name"] == "value"
    assert file.index(b"tEXt") < file.index(b"IDAT")


def test_a_file_is_the_same_however_many_cores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.effect_noise((64, 64), 50).convert("RGB")
    file = write_png(image, [])
    monkeypatch.setattr(png_writer.os, "cpu_count", lambda: None)
    assert write_png(image, []) == file


def test_the_pixels_are_one_whole_stream() -> None:
    file = write_png(Image.new("RGB", (16, 16), "blue"), [])
    start = file.index(b"IDAT") + 4
    stream = zlib.decompressobj()
    assert len(stream.decompress(file[start:])) == 16 * (1 + 3 * 16)
    assert stream.eof
