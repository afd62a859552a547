"""The captions that the miniature learns from."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from inference.miniature.captions import INDIFFERENT, NEGATIVE, POSITIVE, caption, few_tags, full_tags, sentence
from inference.miniature.characters import SKINS, STYLES, random_character
from inference.miniature.data import DEGRADATIONS, Record

SEEDS = st.integers(0, 2**32)


def record(seed: int, degradation: str | None = None) -> Record:
    return Record(random_character(random.Random(seed), held_out=False), degradation)


def weight_of(tag: str) -> tuple[str, float]:
    weighted = re.fullmatch(r"\((.*):([\d.]+)\)", tag)
    return (weighted[1], float(weighted[2])) if weighted else (tag, 1.0)


@given(SEEDS, SEEDS)
def test_a_wrong_tag_is_faint_or_outweighed_by_a_true_one(seed: int, words: int) -> None:
    character = record(seed).character
    for form in (full_tags, few_tags):
        weights = dict(map(weight_of, form(character, random.Random(words))))
        heaviest = max((weight for tag, weight in weights.items() if tag in character.tags), default=0.0)
        for tag, weight in weights.items():
            if tag not in character.tags and tag != f"@{character.style}":
                assert weight < 0.5 or weight < heaviest - 0.15


def test_captions_contradict_mouths_often_enough_to_be_learnt_from() -> None:
    rng = random.Random(0)
    wrong = 0
    for seed in range(2000):
        person = record(seed)
        mouths = set(STYLES[person.character.style].mouths) - {person.character.mouth}
        wrong += any(mouth in caption(person, rng) for mouth in mouths)
    assert wrong > 80


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
