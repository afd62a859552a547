"""An extended canvas keeps the original part and says where to draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inference.editing.canvas import FADE, extend

SIDES = st.integers(0, 40)


def picture(width: int = 96, height: int = 80) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(deadline=None)
@given(left=SIDES, top=SIDES, right=SIDES, bottom=SIDES)
def test_the_original_part_stays_and_the_new_area_is_white_in_the_mask(
    left: int, top: int, right: int, bottom: int
) -> None:
    old = picture()
    canvas = extend(old, left, top, right, bottom)
    assert canvas.image.size == canvas.mask.size == (96 + left + right, 80 + top + bottom)
    assert np.array_equal(np.asarray(canvas.image)[top : top + 80, left : left + 96], np.asarray(old))
    mask = np.asarray(canvas.mask).copy()
    inside = mask[top : top + 80, left : left + 96].copy()
    mask[top : top + 80, left : left + 96] = 255
    assert (mask == 255).all()
    assert (inside < 255).all()


def test_the_mask_fades_into_the_original_part_from_its_new_sides_alone() -> None:
    mask = np.asarray(extend(picture(), 0, 0, 24, 0).mask)
    row = mask[40, :96].astype(int)
    assert (row[: 96 - FADE] == 0).all()
    assert (np.diff(row[96 - FADE :]) > 0).all()


def test_the_new_area_has_the_colours_of_the_border() -> None:
    halves = Image.new("RGB", (96, 80), "red")
    halves.paste("blue", (0, 40, 96, 80))
    canvas = extend(halves, 30, 0, 0, 0).image
    assert canvas.getpixel((0, 10)) == (255, 0, 0)
    assert canvas.getpixel((0, 70)) == (0, 0, 255)


def test_a_negative_extension_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        extend(picture(), -1, 0, 0, 0)
