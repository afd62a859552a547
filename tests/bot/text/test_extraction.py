"""Whatever the bot says is found by Babel: what is written out in `say`, what is marked, and what Discord is sent."""

import ast
from io import BytesIO
from typing import Any

import pytest

from bot.text.extraction import extract_commands, extract_sentences
from tests.bot.text.catalogs import meant, sentences_said, wanted


def found_in(code: str) -> list[tuple[str, str | tuple[str, ...]]]:
    return [(function, text) for _, function, text, _ in extract_sentences(BytesIO(code.encode()), {}, (), {})]


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("say('a')", ["a"]),
        ("say('a {b}' ' c', b=1)", ["a {b} c"]),
        ('f\'### {say("a")}: {say("b")}\'', ["a", "b"]),
        ("say('a' if x else 'b' if y else C)", ["a", "b"]),
        ("A = {1: N_('a'), 2: N_('b')}; say(A[1])", ["a", "b"]),
        ("say_plural('{count} a', '{count} as', n)", [("{count} a", "{count} as")]),
        ("A = N_('{count} a', '{count} as'); say_plural(*A, n)", [("{count} a", "{count} as")]),
        ("say(A); says('b'); N('c')", []),
    ],
)
def test_literal_and_marked_sentences_are_found(code: str, texts: list[Any]) -> None:
    assert [text for _, text in found_in(code)] == texts


def test_a_plural_is_one_message_of_two_texts() -> None:
    assert [function for function, _ in found_in("say('a'); say_plural('b', 'c', 1)")] == ["gettext", "ngettext"]


def test_texts_of_commands_are_found_by_what_they_are() -> None:
    texts = {text for _, _, text, _ in extract_commands(BytesIO(), {}, (), {"register": "bot.commands:register"})}
    assert {
        ("command name", "imagine"),
        ("description", "Draw with Anima"),
        ("option name", "prompt"),
        ("choice", "sampler"),
        ("menu", "Anima: cancel"),
    } <= texts


def test_a_translator_is_shown_what_discord_requires_of_each_text() -> None:
    messages = list(extract_commands(BytesIO(), {}, (), {"register": "bot.commands:register"}))
    assert all(len(comments) == 1 for _, _, _, comments in messages)


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("'a'", ["a"]),
        ("A if x else 'b'", ["a", "b"]),
        ("TABLE[key]", ["a", "b"]),
        ("TABLE[key] if key else A", ["a", "b", "a"]),
        ("ROW[0].real", [1, 2]),
    ],
)
def test_expressions_are_followed_to_what_they_may_be(expression: str, values: list[Any]) -> None:
    names = {"A": "a", "TABLE": {1: "a", 2: "b"}, "ROW": (1, 2)}
    assert meant(ast.parse(expression, mode="eval").body, names, "here") == values


@pytest.mark.parametrize("expression", ["f'{A} b'", "x", "A + 'b'", "A[0]", "f()"])
def test_an_expression_that_cannot_be_followed_is_an_error(expression: str) -> None:
    with pytest.raises(AssertionError):
        meant(ast.parse(expression, mode="eval").body, {"A": "a"}, "here")


def test_every_sentence_used_is_found() -> None:
    found = {text for context, text in wanted() if context is None}
    missing = [f"{where}: {sentence!r}" for sentence, where in sentences_said().items() if sentence not in found]
    assert not missing, "\n".join(["written neither in say() nor in N_():", *missing])


def test_no_unused_sentence_is_marked() -> None:
    unused = [
        f"{file}: {text!r}"
        for (context, text), file in wanted().items()
        if context is None and text not in sentences_said()
    ]
    assert not unused, "\n".join(["nobody says:", *unused])


def test_a_plausible_number_of_sentences_is_found() -> None:
    assert {"Deleted.", "Overview"} <= sentences_said().keys() and len(sentences_said()) > 250
    assert (None, "You need the **Manage Server** permission for this.") in wanted()
