"""Sizes by name, ratio or pixels, and how large an upscale is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.generation.errors import InvalidOption
from bot.generation.sizes import (
    describe_size,
    example_size,
    is_cropped,
    larger_size,
    parse_size,
    size_like,
    tile_for,
)
from inference.weights.modelspec import ANIMA

SIZES = ANIMA.sizes


@pytest.mark.parametrize(
    ("size", "description"),
    [
        ((1024, 1024), "square 1:1, 1024x1024"),
        ((832, 1216), "portrait 2:3, 832x1216"),
        ((1152, 896), "landscape 5:4, 1152x896"),
        ((1344, 768), "landscape 16:9, 1344x768"),
    ],
)
def test_a_size_is_described_by_shape_and_ratio(size: tuple[int, int], description: str) -> None:
    assert describe_size(size) == description


@pytest.mark.parametrize(
    ("typed", "size"),
    [
        ("832x1216", (832, 1216)),
        ("portrait 2:3, 832x1216", (832, 1216)),
        ("2:3", (832, 1216)),
        ("16:9", (1344, 768)),
        ("Square", (1024, 1024)),
        ("landscape", (1152, 896)),
        ("1000x1000", (1000, 1000)),
        ("16x16", (64, 64)),
        ("1024", (1024, 1024)),
        (" 777 ", (776, 776)),
        ("８３２ｘ１２１６", (832, 1216)),  # noqa: RUF001
        ("２：３", (832, 1216)),  # noqa: RUF001
        ("１０２４", (1024, 1024)),  # noqa: RUF001
        ("9999x100", (10000, 96)),
    ],
)
def test_typed_sizes_become_valid_sizes(typed: str, size: tuple[int, int]) -> None:
    assert parse_size(typed, SIZES) == size


@given(st.floats(0.26, 3.9))
def test_a_ratio_that_the_model_does_not_know_keeps_its_area(shape: float) -> None:
    width, height = parse_size(f"{shape:.2f}:1", SIZES)
    assert abs(width / height / round(shape, 2) - 1) < 0.12
    assert 0.85 < width * height / 1024**2 < 1.15


@pytest.mark.parametrize("typed", ["", "wide", "1:9", "0:1", "x", "1:0", "10", "12345"])
def test_an_invalid_aspect_is_explained(typed: str) -> None:
    with pytest.raises(InvalidOption, match="Pick one from the list"):
        parse_size(typed, SIZES)


@pytest.mark.parametrize(
    ("image", "size"),
    [
        ((1536, 1024), (1248, 832)),
        ((1000, 1500), (832, 1248)),
        ((500, 500), (1024, 1024)),
        ((1920, 1080), (1360, 768)),
        ((1, 5000), (64, 4096)),
    ],
)
def test_an_images_shape_is_kept(image: tuple[int, int], size: tuple[int, int]) -> None:
    assert size_like(image, SIZES) == size


@given(st.integers(1, 8000), st.integers(1, 8000))
def test_only_a_very_long_image_is_cropped(width: int, height: int) -> None:
    size = size_like((width, height), SIZES)
    assert all(64 <= side <= 4096 and side % 16 == 0 for side in size)
    if max(width / height, height / width) <= 8:
        assert abs(size[0] / size[1] / (width / height) - 1) < 0.045
        assert 0.85 < size[0] * size[1] / 1024**2 < 1.15


@given(st.floats(1 / 3, 3))
def test_an_images_shape_keeps_to_the_limits(shape: float) -> None:
    width, height = size_like((round(1000 * shape), 1000), SIZES, max_side=1024, area=1024 * 512)
    assert max(width, height) <= 1024 and width * height <= 1024 * 512


def test_only_a_visible_crop_counts() -> None:
    assert not is_cropped((1920, 1080), (1360, 768))
    assert is_cropped((1920, 1080), (1024, 1024))


def test_the_example_of_a_size_is_a_portrait_if_the_model_has_one() -> None:
    assert example_size(ANIMA.sizes) == "896x1152"
    assert example_size(((64, 64),)) == "64x64"


@given(native_side=st.integers(4, 64), other=st.integers(4, 64), most=st.integers(16, 4096))
def test_an_upscale_is_by_one_and_a_half_or_as_much_as_is_allowed(native_side: int, other: int, most: int) -> None:
    size = (16 * native_side, 16 * other)
    larger = larger_size(size, lambda size: max(size) <= most)
    if larger is None:
        assert 1.15 * max(size) > most - 16
        return
    assert max(larger) <= most and larger[0] % 16 == larger[1] % 16 == 0
    assert all(1.15 * side - 16 < grown <= 1.5 * side + 16 for side, grown in zip(size, larger, strict=True))
    if 1.5 * max(size) + 8 <= most:
        assert all(abs(grown - 1.5 * side) <= 8 for side, grown in zip(size, larger, strict=True))


def test_tiles_begin_where_a_model_would_draw_several_images_beside_each_other() -> None:
    native = (1024, 1024)
    assert tile_for((1536, 1536), native) is None
    assert tile_for((1600, 1600), native) == native
    assert tile_for((1536, 1792), native) == native
