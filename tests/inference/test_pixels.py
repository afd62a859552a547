"""Images of every mode and orientation become the pixels that a viewer shows, cropped as ComfyUI crops."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.pixels import pixels_from_image

FILES = Path(__file__).parent / "metadata" / "files"


def levels(image: Image.Image, width: int, height: int) -> np.ndarray:
    return ((pixels_from_image(image, width, height).numpy() + 1) * 127.5).transpose(1, 2, 0)


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_grey_of_16_bits_keeps_its_levels(mode: str) -> None:
    with Image.open(FILES / "K17-gray16-ramp.png") as file:
        image = file.convert(mode) if mode != file.mode else file.copy()
    assert abs(levels(image, *image.size).mean() - 127) < 0.5


@pytest.mark.parametrize("transparent", [0, 300, 40_000, 65_535])
def test_only_the_transparent_grey_of_16_bits_is_laid_on_white(transparent: int) -> None:
    others = [value for value in (300 % 256 * 257, 20_000) if value != transparent]
    file = io.BytesIO()
    greys = np.tile(np.repeat(np.array([transparent, *others], np.uint16), 4), (8, 1))
    Image.fromarray(greys).save(file, "PNG", transparency=transparent)
    found = levels(Image.open(file), greys.shape[1], 8)[0, ::4, 0]
    np.testing.assert_allclose(found, [255, *(value / 257 for value in others)], atol=1)


def test_an_image_is_turned_upright() -> None:
    with Image.open(FILES / "K18-orientation-6.jpg") as image:
        found = levels(image, 64, 96)
    assert found[10, 30, 0] > 250 and found[80, 30, 2] > 250


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_alpha_is_laid_on_white(mode: str) -> None:
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128)).convert("RGBa")
    image = half if mode == "RGBa" else Image.new("LA", (8, 8), (0, 128)).convert("La")
    assert np.abs(levels(image, 8, 8) - 127).max() <= 1


def test_the_crop_is_to_whole_pixels_in_the_middle() -> None:
    columns = np.tile(np.arange(8, dtype=np.uint8) * 30, (3, 1))
    found = levels(Image.fromarray(columns), 3, 3)[..., 0]
    # (8 - 3) / 2 = 2.5 pixels to the left, which Python and ComfyUI round to the even 2: columns 2 to 5, made 3.
    assert found[0, 0] < 80 and found[0, -1] > 130
    np.testing.assert_allclose(found[0, 1], (3 + 4) / 2 * 30, atol=1)


def test_a_png_source_of_the_right_size_reaches_the_model_level_by_level() -> None:
    """As in ComfyUI, which decodes JPEG and WebP by another library."""
    values = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    np.testing.assert_array_equal(levels(Image.open(file), 24, 16).round(), values)
