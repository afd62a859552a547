import random
import re

from hypothesis import given
from hypothesis import strategies as st

from inference.miniature.captions import INDIFFERENT, NEGATIVE, POSITIVE, caption, few_tags, full_tags, sentence
from inference.miniature.characters import SKINS, random_character
from inference.miniature.data import DEGRADATIONS, Record

SEEDS = st.integers(0, 2**32)


def record(seed: int, degradation: str | None = None) -> Record:
    return Record(random_character(random.Random(seed), held_out=False), degradation)


@given(SEEDS, SEEDS)
def test_every_tag_of_weight_one_or_more_is_true(seed: int, words: int) -> None:
    character = record(seed).character
    for form in (full_tags, few_tags):
        for tag in form(character, random.Random(words)):
            weighted = re.fullmatch(r"\((.*):([\d.]+)\)", tag)
            text, weight = (weighted[1], float(weighted[2])) if weighted else (tag, 1.0)
            assert weight < 1 or text in character.tags or text == f"@{character.style}"


@given(SEEDS, SEEDS)
def test_full_tags_name_all_that_is_small(seed: int, words: int) -> None:
    character = record(seed).character
    said = ", ".join(full_tags(character, random.Random(words)))
    small = (character.mouth, character.eyes, character.eyewear, character.beard, character.headwear)
    assert all(tag in said for tag in small if tag)


@given(SEEDS, SEEDS)
def test_a_sentence_gives_hair_colour_and_background(seed: int, words: int) -> None:
    character = record(seed).character
    (said,) = sentence(character, random.Random(words))
    assert f"{character.background} background" in said
    assert (f"{character.hair_colour} hair" if character.hair_colour else "bald") in said
    assert not any(skin in said for skin in SKINS if skin != character.skin)


@given(SEEDS, SEEDS, st.sampled_from([None, *DEGRADATIONS]))
def test_quality_words_tell_spoilt_pictures_from_good_ones(seed: int, words: int, degradation: str | None) -> None:
    said = caption(record(seed, degradation), random.Random(words))
    if said and degradation:
        assert any(word in said for word in NEGATIVE)
        assert not any(word in said for word in ("masterpiece", "best quality", "score_7"))
    if not degradation:
        assert not any(word in said for word in (*NEGATIVE, *DEGRADATIONS))


def test_a_tenth_of_the_captions_is_empty() -> None:
    rng = random.Random(0)
    empty = sum(caption(record(seed), rng) == "" for seed in range(2000))
    assert 150 < empty < 250


def test_indifferent_words_say_nothing_about_any_picture() -> None:
    said = {tag for seed in range(300) for tag in record(seed).character.tags}
    assert not said & {*INDIFFERENT, *POSITIVE, *NEGATIVE}
