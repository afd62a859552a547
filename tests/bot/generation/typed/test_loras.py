"""LoRAs by the names that people use."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bot.generation.errors import InvalidOption
from bot.generation.typed.loras import LoraNames, parse_lora, parse_loras
from bot.generation.values import MAX_LORAS
from bot.prompting.lora_syntax import take_loras, write_lora

HERE = LoraNames(
    ("ink", "styles/Chibi", "a: b", "a", "name:0.8", "v2", "old/line", "new/line", "été"),
    aliases={"styles/Chibi": ["Super Deformed"]},
)
NAMES = some.lists(
    some.text(some.characters(exclude_characters="<>＜＞", exclude_categories=("Cs",)), min_size=1).filter(  # noqa: RUF001
        lambda name: name == name.strip() and len(name) < 100
    ),
    min_size=1,
    max_size=4,
)


def refusal(typed: str, known: LoraNames = HERE) -> str:
    with pytest.raises(InvalidOption) as refused:
        parse_lora(typed, known)
    return str(refused.value)


@pytest.mark.parametrize(
    ("typed", "lora"),
    [
        ("ink", ("ink", 1.0)),
        (" ink : 0.8 ", ("ink", 0.8)),
        ("INK:-1.5", ("ink", -1.5)),
        ("ink.safetensors:.5", ("ink", 0.5)),
        ("chibi:0.8", ("styles/Chibi", 0.8)),
        (r"styles\chibi", ("styles/Chibi", 1.0)),
        ("super deformed:2", ("styles/Chibi", 2.0)),
        ("a: b", ("a: b", 1.0)),
        ("a: b:0.5", ("a: b", 0.5)),
        ("a:0.5", ("a", 0.5)),
        ("name:0.8", ("name:0.8", 1.0)),
        ("name:0.8:0.3", ("name:0.8", 0.3)),
        ("v2", ("v2", 1.0)),
        ("v2:2", ("v2", 2.0)),
        ("ink:0,8", ("ink", 0.8)),
        ("ink：０．８", ("ink", 0.8)),  # noqa: RUF001
        ("ink:0.5:0.9", ("ink", 0.9)),
        ("ink:te=0.5:unet=0.9", ("ink", 0.9)),
        ("ink — ink, lineart", ("ink", 1.0)),
        ("ink — ink, lineart:0.7", ("ink", 0.7)),
        ("ink:", ("ink", 1.0)),
        (unicodedata.normalize("NFD", "ÉTÉ:0.5"), ("été", 0.5)),
    ],
)
def test_a_lora_is_found_by_the_names_people_type(typed: str, lora: tuple[str, float]) -> None:
    assert parse_lora(typed, HERE) == lora


def test_an_unknown_name_suggests_similar_ones() -> None:
    assert refusal("chibbi:0.8") == "There is no LoRA called “chibbi”. Did you mean styles/Chibi?"
    assert "There are: ink" in refusal("zzzzzz")
    assert "no LoRAs here yet" in refusal("ink", LoraNames(()))


def test_an_ambiguous_name_lists_the_candidates() -> None:
    assert "matches several LoRAs: old/line, new/line" in refusal("line:0.5")
    assert parse_lora("old/line:0.5", HERE) == ("old/line", 0.5)


def test_an_invalid_strength_is_answered_with_a_valid_one() -> None:
    assert "such as ink:0.8" in refusal("ink:strong")
    assert refusal("ink:11") == "The strength of “ink” is 11, but must be from -10 to 10."


def test_if_a_lora_is_named_twice_the_last_strength_counts() -> None:
    assert parse_loras(("ink:0.3", None, "a"), ("INK:0.9",), HERE) == (("ink", 0.9), ("a", 1.0))


def test_a_strength_of_zero_leaves_a_lora_out() -> None:
    assert parse_loras(("ink:0", None, None), (), HERE) == ()
    assert parse_loras((None, None, None), (), HERE) is None


def test_too_many_are_refused_with_the_limit() -> None:
    known = LoraNames([f"style{number}" for number in range(MAX_LORAS + 1)])
    with pytest.raises(InvalidOption, match=f"{MAX_LORAS + 1} LoRAs are too many.* up to {MAX_LORAS},"):
        parse_loras((), known.names, known)


@given(NAMES, some.floats(-10, 10))
def test_any_lora_written_into_a_prompt_is_read_back(names: list[str], strength: float) -> None:
    known = LoraNames(list(dict.fromkeys(names)))
    tag = write_lora(names[0], strength)
    assert tag is not None
    [typed] = take_loras(f"1girl {tag}")[1]
    assert parse_lora(typed, known) == (names[0], strength)


@given(some.text(some.sampled_from("ink:a b=.-0128e：—/\\te"), max_size=60) | some.text())  # noqa: RUF001
def test_any_text_is_parsed_or_refused(typed: str) -> None:
    try:
        name, strength = parse_lora(typed, HERE)
    except InvalidOption as refused:
        assert str(refused)
    else:
        assert name in HERE.names and -10 <= strength <= 10
