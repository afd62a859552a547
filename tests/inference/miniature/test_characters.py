"""The characters in the training images."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.miniature.characters import (
    STYLES,
    Character,
    detail_boxes,
    drawing,
    face_box,
    frame,
    is_held_out,
    random_character,
)

SIZES = [(96, 96), (80, 112), (112, 80), (128, 128), (112, 144)]


@st.composite
def characters(draw: st.DrawFn) -> Character:
    return random_character(random.Random(draw(st.integers(0, 2**32))), held_out=draw(st.booleans()))


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from(list(STYLES)))
def test_a_character_is_of_the_split_and_style_asked_for(seed: int, held_out: bool, style: str) -> None:
    character = random_character(random.Random(seed), held_out=held_out, style=style)
    assert is_held_out(character) == held_out
    assert character.style == style


def test_about_a_tenth_of_the_combinations_is_held_out() -> None:
    rng = random.Random(0)
    held_out = [random_character(rng, held_out=True) for _ in range(300)]
    training = {
        (c.style, c.hair_length, c.hair_colour, c.background, c.mouth)
        for c in (random_character(rng, held_out=False) for _ in range(3000))
    }
    assert not any((c.style, c.hair_length, c.hair_colour, c.background, c.mouth) in training for c in held_out)


@given(characters(), st.sampled_from(SIZES), st.integers(0, 2**32))
def test_images_show_what_their_tags_say(character: Character, size: tuple[int, int], seed: int) -> None:
    style = STYLES[character.style]
    options = drawing(character, size, random.Random(seed))["options"]

    def shows(*variants: object) -> bool:
        """Whether one of the variants, each a dictionary of options, is among the options."""
        return any(all(options.get(key) == [value] for key, value in v.items()) for v in variants)  # type: ignore[attr-defined]

    assert shows(*style.hair[character.hair])
    assert shows(*style.eyes[character.eyes])
    if character.mouth:
        assert shows(*style.mouths[character.mouth])
    for tag, variants in style.eyewear.items():
        assert shows(*variants) == (tag == character.eyewear)
    for tag, variants in style.beards.items():
        assert shows(*variants) == (tag == character.beard)
    for tag, variants in style.headwear.items():
        assert shows(*variants) == (tag == character.headwear)
    if style.earrings:
        assert shows(*style.earrings) == character.earrings
    shown = {part.removesuffix("Probability") for part, chance in options.items() if chance == 100}
    hidden = {part.removesuffix("Probability") for part, chance in options.items() if chance == 0}
    assert shown <= options.keys()
    assert not hidden & options.keys()


@given(characters())
def test_tags_are_said_once_and_begin_with_the_gender(character: Character) -> None:
    assert character.tags[0] in ("1girl", "1boy")
    assert len(set(character.tags)) == len(character.tags)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", SIZES)
def test_the_frame_has_the_picture_s_shape_and_holds_the_face(style: str, size: tuple[int, int]) -> None:
    _, _, width, height = frame(style, size)
    assert width / height == pytest.approx(size[0] / size[1])
    left, top, right, bottom = face_box(style, size)
    assert 0 < left < right <= 1
    assert 0 < top < bottom <= 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", SIZES)
def test_small_features_are_inside_the_picture(style: str, size: tuple[int, int]) -> None:
    boxes = detail_boxes(style, size)
    assert boxes or not STYLES[style].earrings
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
