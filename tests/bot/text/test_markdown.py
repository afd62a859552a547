"""Users' text is shown without its markdown."""

import pytest

from bot.text.markdown import blockquote, inline


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("# head", r"\# head"),
        ("- list", r"\- list"),
        ("-# small", r"\-# small"),
        (">>> quote", r"\>>> quote"),
        ("12. first", r"12\. first"),
        ("<@1> <#2> <t:3:R>", r"\<@1> \<#2> \<t:3:R>"),
        ("[name](https://a.b/c_d)", r"\[name](https\://a.b/c\_d)"),
        (r"\[name](x)", r"\\\[name](x)"),
        ("-0.5", "-0.5"),
        ("12.5", "12.5"),
        ("semi-realistic, #tag", "semi-realistic, #tag"),
        ("a > b, x: y", "a > b, x: y"),
    ],
)
def test_only_real_markdown_is_escaped(typed: str, shown: str) -> None:
    assert inline(typed, 100) == shown


@pytest.mark.parametrize("separator", ["\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_no_line_separator_begins_a_heading(separator: str) -> None:
    assert blockquote(f"a{separator}# big", 100) == "> a\n> \\# big"


@pytest.mark.parametrize("typed", ["", " \n\t"])
def test_a_prompt_no_longer_saved_is_shown_as_such(typed: str) -> None:
    assert blockquote(typed, 100) == r"> (prompt no longer saved)"
    assert inline(typed, 100) == "(prompt no longer saved)"
