"""From what a tagger guesses to a prompt that means it."""

from __future__ import annotations

from bot.prompting.described import MAX_LENGTH, TagThresholds, described_prompt, likely_tags
from bot.prompting.syntax import tag_spans
from bot.prompting.wildcards import expand
from inference.tagging.tag_list import TagGuess, TagKind

GENERAL, CHARACTER, ARTIST = TagKind.GENERAL, TagKind.CHARACTER, TagKind.ARTIST


def prompt(*guesses: tuple[str, TagKind, float], with_safety: bool = False) -> str:
    found = [TagGuess(*each) for each in guesses]
    return described_prompt(likely_tags(found, TagThresholds(), with_safety=with_safety))


def test_tags_stand_in_animas_order_and_the_surest_of_a_kind_first() -> None:
    assert (
        prompt(
            ("smile", GENERAL, 0.99),
            ("blue_eyes", GENERAL, 0.6),
            ("nnn_yryr", ARTIST, 0.9),
            ("yuru_yuri", TagKind.COPYRIGHT, 0.9),
            ("oomuro_sakurako", CHARACTER, 0.9),
            ("long_hair", GENERAL, 0.7),
            ("1girl", GENERAL, 0.5),
            ("highres", TagKind.META, 0.4),
            ("sensitive", TagKind.RATING, 0.9),
            with_safety=True,
        )
        == "sensitive, highres, 1girl, oomuro sakurako, yuru yuri, @nnn yryr, smile, long hair, blue eyes"
    )


def test_a_name_takes_more_to_be_believed_than_anything_else() -> None:
    assert prompt(("hat", GENERAL, 0.36), ("saber", CHARACTER, 0.84), ("scarf", GENERAL, 0.34)) == "hat"


def test_only_the_likeliest_rating_is_used_and_only_on_request() -> None:
    ratings = (("general", TagKind.RATING, 0.3), ("questionable", TagKind.RATING, 0.6), ("1girl", GENERAL, 0.9))
    assert prompt(*ratings) == "1girl"
    assert prompt(*ratings, with_safety=True) == "nsfw, 1girl"


def test_a_rating_with_its_prefix_is_the_same_rating() -> None:
    rated = (("rating:questionable", TagKind.RATING, 0.6), ("1girl", GENERAL, 0.9))
    assert prompt(*rated, with_safety=True) == "nsfw, 1girl"


def test_a_name_with_brackets_or_braces_or_a_face_means_itself() -> None:
    names = ("saber_(fate)", ">_<", "||_||", "{o}_{o}", ":d")
    written = prompt(*((name, GENERAL, 0.9) for name in names))
    assert written == r"saber \(fate\), >_<, ||_||, \{o\}_\{o\}, :d"
    drawn = expand(written, seed=1)
    assert [span.name for span in tag_spans(drawn)] == ["saber (fate)", ">_<", "||_||", "{o}_{o}", ":d"]


def test_a_tag_stands_once_and_what_is_least_sure_gives_way_to_the_length_of_a_message() -> None:
    many = [(f"{'x' * 40}_{number}", GENERAL, 0.9 - number / 1000) for number in range(100)]
    written = prompt(("hat", GENERAL, 0.95), ("Hat", GENERAL, 0.5), *many)
    assert written.count("hat") == 1 and "x 0," in written and "x 99" not in written
    assert 1900 < len(written) <= MAX_LENGTH
