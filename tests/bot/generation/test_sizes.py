import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.generation.errors import InvalidOption
from bot.generation.sizes import describe_size, parse_size
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
        ("1000x1000", (992, 992)),
        ("16x16", (64, 64)),
        ("9999x100", (10000, 96)),
    ],
)
def test_what_people_type_becomes_a_size_that_can_be_drawn(typed: str, size: tuple[int, int]) -> None:
    assert parse_size(typed, SIZES) == size


@given(st.floats(0.26, 3.9))
def test_a_ratio_that_the_model_does_not_know_keeps_its_area(shape: float) -> None:
    width, height = parse_size(f"{shape:.2f}:1", SIZES)
    assert abs(width / height / round(shape, 2) - 1) < 0.12
    assert 0.85 < width * height / 1024**2 < 1.15


@pytest.mark.parametrize("typed", ["", "wide", "1:9", "0:1", "x", "1:0"])
def test_what_is_no_aspect_is_refused_in_a_sentence(typed: str) -> None:
    with pytest.raises(InvalidOption, match="Pick one from the list"):
        parse_size(typed, SIZES)
