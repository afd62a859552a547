"""What a mask's pixels mean, and that nothing outside of a mask changes."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch import Tensor

from inference.editing.mask import MAX_BOXES, blend, boxes_of, mask_pixels, seam_of
from inference.editing.mask_image import is_soft, mask_of_transparency, mask_problem
from inference.editing.thin_mask import is_too_thin
from inference.metadata.parameters import Box
from inference.sampling.masks import fitted

BLACK = Image.new("RGB", (64, 48))
BOXES = st.lists(st.tuples(*4 * [st.integers(0, 40)]), max_size=4)


def mask_with(*boxes: Box, size: tuple[int, int] = (64, 48), level: int = 255) -> Image.Image:
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for left, top, width, height in boxes:
        draw.rectangle((left, top, left + width - 1, top + height - 1), fill=level)
    return mask


def noise_image(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))


def white_pixels(height: int = 48, width: int = 64) -> Tensor:
    return torch.ones(3, height, width)


@pytest.mark.parametrize("boxes", [[(10, 10, 30, 20)], [(0, 0, 64, 10)], [(5, 5, 3, 3)], [(0, 0, 64, 48)]])
def test_outside_of_a_mask_every_pixel_is_the_old_one(boxes: list[Box]) -> None:
    old = noise_image(1)
    mask = mask_pixels(mask_with(*boxes), 64, 48)
    blended = np.asarray(blend(old, white_pixels(), mask))
    outside = mask[0, 0].numpy() == 0
    assert np.array_equal(blended[outside], np.asarray(old)[outside])
    assert (blended == 255).all(axis=2).any()


def test_outside_of_a_round_mask_every_pixel_is_the_old_one() -> None:
    old, mask = noise_image(2), Image.new("L", (64, 48))
    ImageDraw.Draw(mask).ellipse((8, 4, 55, 43), fill=255)
    blended = np.asarray(blend(old, white_pixels(), mask_pixels(mask, 64, 48)))
    outside = np.asarray(mask) == 0
    assert np.array_equal(blended[outside], np.asarray(old)[outside])


def test_every_level_survives_outside_of_a_mask() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    old = Image.fromarray(np.stack([levels, levels[::-1], levels.T], axis=2))
    blended = blend(old, white_pixels(16, 16), torch.zeros(1, 1, 16, 16))
    assert np.array_equal(np.asarray(blended), np.asarray(old))


def test_the_seam_is_blended_inside_of_the_mask_and_reaches_the_images_own_border() -> None:
    mask = mask_pixels(mask_with((32, 0, 32, 48)), 64, 48)
    row = np.asarray(blend(BLACK, white_pixels(), mask))[24, :, 0].astype(int)
    assert row[31] == 0 and row[40] == 255 and row[63] == 255
    assert (np.diff(row[31:41]) > 0).sum() >= 7


@pytest.mark.parametrize(("side", "seam"), [(40, 4), (14, 2), (8, 1), (2, 0)])
def test_a_small_mask_has_a_narrow_seam(side: int, seam: int) -> None:
    assert seam_of(mask_pixels(mask_with((3, 3, side, side)), 64, 48)) == seam


@pytest.mark.parametrize(("level", "soft"), [(255, False), (244, False), (12, False), (128, True), (30, True)])
def test_only_real_greys_make_a_mask_soft(level: int, soft: bool) -> None:
    mask = mask_with((0, 0, 10, 10))
    mask.paste(level, (20, 20, 30, 30))
    assert is_soft(mask) is soft
    if not soft:
        assert set(mask_pixels(mask, 64, 48).unique().tolist()) <= {0.0, 1.0}


def encoded(mask: Image.Image, format: str, **options: int) -> Image.Image:
    buffer = io.BytesIO()
    mask.save(buffer, format, **options)
    return Image.open(buffer)


def round_mask(side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse((side // 5, side // 4, side // 2, side * 3 // 4), fill=255)
    return mask


@pytest.mark.parametrize(("format", "quality"), [("JPEG", 30), ("JPEG", 75), ("JPEG", 90), ("WEBP", 50), ("WEBP", 80)])
def test_what_compression_leaves_beside_an_edge_makes_no_mask_soft(format: str, quality: int) -> None:
    mask = round_mask(400)
    compressed = encoded(mask, format, quality=quality)
    assert not is_soft(compressed)
    changed = (mask_pixels(compressed, 400, 400) != mask_pixels(mask, 400, 400)).float().mean()
    assert changed < 0.002


@pytest.mark.parametrize("drawn_in", [200, 1600])
def test_a_brushs_smooth_edge_makes_no_mask_soft(drawn_in: int) -> None:
    assert not is_soft(round_mask(drawn_in).resize((400, 400), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("reach", [32, 64])
def test_an_edge_that_fades_over_many_pixels_makes_a_mask_soft(reach: int) -> None:
    levels = np.clip(np.arange(128) * 255 / reach, 0, 255).astype(np.uint8)
    assert is_soft(Image.fromarray(np.tile(levels, (96, 1))))


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("width", [1, 3, 6, 7])
def test_a_line_that_is_lost_in_the_latents_size_is_too_thin(first: int, width: int) -> None:
    """Of eight pixels the two in the middle count."""
    line = mask_with((24 + first, 0, width, 48))
    assert is_too_thin(line, 64, 48) is not any((24 + first + at) % 8 in (3, 4) for at in range(width))


@settings(deadline=None, max_examples=200)
@given(
    BOXES,
    st.sampled_from([255, 128, 20]),
    st.sampled_from([(64, 48), (128, 96), (32, 24), (96, 72), (65, 49), (640, 480)]),
    st.sampled_from([(64, 48), (96, 72), (48, 48), (128, 104)]),
)
def test_a_mask_is_too_thin_if_the_sampler_sees_nothing_of_it(
    boxes: list[Box], level: int, size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    mask = mask_with(*[box for box in boxes if box[2] and box[3]], size=size, level=level)
    seen = fitted(mask_pixels(mask, *drawn), torch.zeros(1, 16, drawn[1] // 8, drawn[0] // 8))
    assert is_too_thin(mask, *drawn) is not bool((seen > 1e-6).any())


def test_a_hard_mask_of_another_size_stays_hard() -> None:
    mask = mask_pixels(mask_with((10, 10, 30, 20)), 200, 150)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.shape == (1, 1, 150, 200)


def test_a_mask_is_cropped_as_its_image_is() -> None:
    wide = mask_with((0, 0, 10, 48), size=(96, 48))
    assert mask_pixels(wide, 48, 48).sum() == 0


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16", "RGBA"])
def test_white_is_white_in_every_mode(mode: str) -> None:
    mask = mask_with((10, 10, 30, 20))
    sixteen_bits = Image.fromarray(np.asarray(mask).astype(np.uint16) * 257)
    converted = sixteen_bits if mode == "I;16" else mask.convert(mode)
    assert torch.equal(mask_pixels(converted, 64, 48), mask_pixels(mask, 64, 48))


def test_transparent_is_black_in_a_mask_and_redrawn_in_an_image() -> None:
    image = Image.new("RGBA", (64, 48), "white")
    image.paste((255, 255, 255, 0), (0, 0, 32, 48))
    assert mask_pixels(image, 64, 48)[0, 0, 0].tolist() == [0.0] * 32 + [1.0] * 32
    assert mask_pixels(mask_of_transparency(image), 64, 48)[0, 0, 0].tolist() == [1.0] * 32 + [0.0] * 32


def test_a_mask_turned_by_its_exif_is_turned_upright() -> None:
    turned = mask_with((0, 0, 10, 48))
    turned.getexif()[0x0112] = 3
    assert mask_pixels(turned, 64, 48)[0, 0, 0, -10:].tolist() == [1.0] * 10


def test_a_black_mask_is_a_problem() -> None:
    assert "completely black" in (mask_problem(Image.new("L", (64, 48)), BLACK) or "")


def test_a_mask_of_another_shape_is_a_problem_and_of_another_size_is_not() -> None:
    assert mask_problem(mask_with((0, 0, 5, 5), size=(128, 96)), BLACK) is None
    problem = mask_problem(mask_with((0, 0, 5, 5), size=(48, 48)), BLACK)
    assert "mask is 48x48, but the image is 64x48" in (problem or "")


@settings(deadline=None)
@given(BOXES)
def test_a_masks_rectangles_are_the_mask_again(boxes: list[Box]) -> None:
    mask = mask_pixels(mask_with(*[box for box in boxes if box[2] and box[3]]), 64, 48)
    found = boxes_of(mask)
    total = np.zeros((48, 64))
    for left, top, width, height in found:
        total[top : top + height, left : left + width] += 1
    assert np.array_equal(total, mask[0, 0].numpy())


def test_a_soft_mask_and_one_of_too_many_rectangles_have_none() -> None:
    assert boxes_of(mask_pixels(mask_with((0, 0, 9, 9), level=128), 64, 48)) == ()
    dots = mask_with(*[(2 * i % 64, 2 * (2 * i // 64), 1, 1) for i in range(MAX_BOXES + 1)])
    assert boxes_of(mask_pixels(dots, 64, 48)) == ()
