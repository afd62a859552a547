"""`{red|blue}` in prompts."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.prompting.wildcards import escape_wildcards, expand, expansions, has_wildcards
from tests.effort import bounded_effort

TEMPLATES = st.text(st.sampled_from("{{{}}}|||\\:2.0ab ,\n火")) | st.text()
SEEDS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(
    ("template", "possible"),
    [
        ("{red|blue} hair", {"red hair", "blue hair"}),
        ("{a|{b|c}d}", {"a", "bd", "cd"}),
        ("{|smile}", {"", "smile"}),
        ("{smile}", {"smile"}),
        ("{}", {""}),
        (r"\{red|blue\}", {"{red|blue}"}),
        (r"{\{|\|}", {"{", "|"}),
        (r"\|", {r"\|"}),
        (r"{a\(b\)|a\(b\)}", {r"a\(b\)"}),
        ("{red|blue", {"{red|blue"}),
        ("red|blue}", {"red|blue}"}),
        ("{red|{blue|green}", {"{red|blue", "{red|green"}),
        ("{0::red|blue}", {"blue"}),
        ("{0::red|0::blue}", {"red", "blue"}),
        ("(hat:{1.2|1.5})", {"(hat:1.2)", "(hat:1.5)"}),
    ],
)
def test_every_alternative_is_chosen_by_some_seed_and_nothing_else(template: str, possible: set[str]) -> None:
    assert {expand(template, seed) for seed in range(100)} == possible


def test_a_seeds_choices_never_change() -> None:
    template = "{red|blue|green} {hat|{cap|hood}}, {3::day|night}"
    assert [expand(template, seed) for seed in (0, 1, 2, 7, 2**64 - 1)] == [
        "blue hat, night",
        "red hat, day",
        "blue hat, night",
        "red hood, day",
        "red hat, day",
    ]


def test_groups_spelled_alike_choose_each_for_itself() -> None:
    chosen = {expand("{a|b}{a|b}", seed) for seed in range(100)}
    assert chosen == {"aa", "ab", "ba", "bb"}


def test_weights_set_how_often_an_alternative_is_chosen() -> None:
    counts = Counter(expand("{3::red|blue}", seed) for seed in range(4000))
    assert 2850 < counts["red"] < 3150


@settings(deadline=None)
@given(TEMPLATES, SEEDS)
def test_any_text_expands_the_same_way_twice_and_never_grows(template: str, seed: int) -> None:
    expanded = expand(template, seed)
    assert expanded == expand(template, seed)
    assert len(expanded) <= len(template)


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="{}\\")), SEEDS)
def test_a_prompt_without_braces_and_backslashes_stays_as_it_is(prompt: str, seed: int) -> None:
    assert expand(prompt, seed) == prompt
    assert not has_wildcards(prompt)


@settings(deadline=None)
@given(TEMPLATES.filter(lambda template: "0" not in template), SEEDS)
def test_all_expansions_hold_what_any_seed_chooses_where_there_are_few(template: str, seed: int) -> None:
    found = expansions(template, limit=300)
    assert len(found) <= 300
    if len(found) < 200:
        assert expand(template, seed) in found


def test_many_expansions_are_sampled() -> None:
    found = expansions("{a|b|c|d}" * 50, limit=40)
    assert len(found) == 40
    assert len(set(found)) > 35


@pytest.mark.parametrize("part", ["{", "}", "{a|b}", "{a|", "{{a|b}|", "|", "\\{", "{  ", "{1::"])
def test_long_templates_take_linear_time(part: str) -> None:
    template = part * (20_000 // len(part))
    with bounded_effort(200):
        expand(template, 1)
        expand(template + "}" * 20_000, 1)


@given(TEMPLATES, SEEDS)
def test_a_literal_text_becomes_itself_with_every_seed(text: str, seed: int) -> None:
    assert expand(escape_wildcards(text), seed) == text
