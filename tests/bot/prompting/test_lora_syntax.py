"""`<lora:name:0.8>` in prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bot.prompting.lora_syntax import strength_text, take_loras, write_lora

NAMES = some.text(some.characters(exclude_characters="<>＜＞", exclude_categories=("Cs",)), min_size=1).filter(  # noqa: RUF001
    lambda name: name == name.strip()
)


@pytest.mark.parametrize(
    ("prompt", "rest", "loras"),
    [
        ("1girl, smile", "1girl, smile", ()),
        ("1girl, <lora:ink:0.8>, smile", "1girl, smile", ("ink:0.8",)),
        ("<lora:ink:1>, 1girl", "1girl", ("ink:1",)),
        ("1girl <lora:ink:1>", "1girl", ("ink:1",)),
        ("1girl, <lora:ink:1>", "1girl", ("ink:1",)),
        ("1girl<lora:a:1><lora:b:2>, smile", "1girl, smile", ("a:1", "b:2")),
        ("1girl <lora:ink> smile", "1girl smile", ("ink",)),
        ("(red hat <lora:ink:1>), smile", "(red hat), smile", ("ink:1",)),
        ("1girl\n<LORA:Ink:.5>\nsmile", "1girl\nsmile", ("Ink:.5",)),
        ("1girl, <lyco:ink:1>", "1girl", ("ink:1",)),
        ("1girl, ＜lora：ink：０．８＞", "1girl", ("ink：０．８",)),  # noqa: RUF001
        ("<lora:styles/a: b:0.5:0.7> x", "x", ("styles/a: b:0.5:0.7",)),
        ("<lora:>", "", ("",)),
        ("<lora:ink", "<lora:ink", ()),
        ("1girl <hypernet:a:1>", "1girl <hypernet:a:1>", ()),
    ],
)
def test_loras_are_taken_out_with_the_comma_they_would_leave(prompt: str, rest: str, loras: tuple[str, ...]) -> None:
    assert take_loras(prompt) == (rest, loras)


@given(some.text(some.sampled_from("<>:loraly,、 \n()x0."), max_size=200) | some.text())
def test_any_prompt_is_read_and_has_no_lora_afterwards(prompt: str) -> None:
    rest, loras = take_loras(prompt)
    assert len(rest) <= len(prompt)
    assert take_loras(rest) == (rest, ()) or loras


@given(some.lists(some.tuples(NAMES, some.floats(-10, 10)), min_size=1, max_size=5))
def test_written_lora_tags_are_read_back(loras: list[tuple[str, float]]) -> None:
    written = [write_lora(*lora) for lora in loras]
    prompt = ", ".join(["1girl", *(tag for tag in written if tag is not None)])
    assert take_loras(prompt) == ("1girl", tuple(f"{name}:{strength_text(strength)}" for name, strength in loras))


def test_a_name_that_would_end_the_tag_is_not_written() -> None:
    assert write_lora("a>b", 1.0) is None


@pytest.mark.parametrize("piece", ["<lora:", "<lora:a>", "<lora:a:", "<", "<lora:a>,", " "])
def test_the_time_grows_with_the_length_alone(piece: str) -> None:
    """A million characters: anything worse than linear would not end."""
    take_loras(piece * (1_000_000 // len(piece)))
