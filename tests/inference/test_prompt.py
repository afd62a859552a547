"""Weights and embeddings in prompts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.prompt import embeddings, infinite_weight, parse_weights, without_embeddings
from tests.effort import bounded_effort

PLAIN = st.text(st.characters(exclude_characters="()\\"))
PROMPTS = st.text(st.sampled_from("(((())))::\\1.3e-_ naif,\n\0火")) | st.text()


@pytest.mark.parametrize(
    ("prompt", "segments"),
    [
        ("", [("", 1.0)]),
        ("1girl, smile", [("1girl, smile", 1.0)]),
        ("(smile)", [("smile", 1.1)]),
        ("(chibi:2), 1girl", [("chibi", 2.0), (", 1girl", 1.0)]),
        (
            r"((red hair:1.3) and (hat)), gloves \(santa costume\)",
            [("red hair", 1.3), (" and ", 1.1), ("hat", 1.2100000000000002), (", gloves (santa costume)", 1.0)],
        ),
        (
            "oomuro sakurako, (yuru yuri:0.5), (open mouth:-1.0), (unclosed, smile",
            [
                ("oomuro sakurako, ", 1.0),
                ("yuru yuri", 0.5),
                (", ", 1.0),
                ("open mouth", -1.0),
                (", ", 1.0),
                ("(unclosed, smile", 1.0),
            ],
        ),
    ],
)
def test_prompts_of_the_reference_give_its_segments(prompt: str, segments: list[tuple[str, float]]) -> None:
    assert parse_weights(prompt) == segments


@pytest.mark.parametrize(
    ("prompt", "segments"),
    [
        ("(re:zero:1.2)", [("re:zero", 1.2)]),  # the last colon
        ("(a: 1.3\n)", [("a", 1.3)]),  # blanks
        ("(a:1e3)", [("a", 1000.0)]),
        ("(a:1_0)", [("a", 10.0)]),
        ("(a:１.５)", [("a", 1.5)]),  # full-width digits  # noqa: RUF001
        ("(a:0)", [("a", 0.0)]),
        ("(a:big)", [("a:big", 1.1)]),
        ("(a:)", [("a:", 1.1)]),
        ("(:1.3)", [(":1.3", 1.1)]),  # nothing before the colon
        (r"(a:1.3\))", [("a:1.3)", 1.1)]),
        ("((a:1.2) b:1.5)", [("a", 1.2), (" b", 1.5)]),
        ("((a) b:2)", [("a", 2.2), (" b", 2.0)]),  # the outer number, then one bracket more
    ],
)
def test_a_number_is_what_float_reads_after_the_last_colon(prompt: str, segments: list[tuple[str, float]]) -> None:
    assert parse_weights(prompt) == segments


@pytest.mark.parametrize(
    ("prompt", "weight"),
    [
        ("1girl, (smile: -Inf )", "-Inf"),
        ("(a (b:nan))", "nan"),
        ("grandma : nan)", None),  # closes no bracket
        (r"\(grandma: nan\)", None),
        ("(a:1e999)", None),
        ("(nan:1.2)", None),
        ("(:nan)", None),
    ],
)
def test_only_a_brackets_own_number_is_a_weight_that_is_none(prompt: str, weight: str | None) -> None:
    assert infinite_weight(prompt) == weight


@pytest.mark.parametrize(
    ("segment", "pieces", "names"),
    [
        ("smile", ["smile"], []),
        ("embedding:bad", [], ["bad"]),
        ("hat, embedding:bad", ["hat, "], ["bad"]),
        ("embedding:bad hat  and\nshoes", ["hat and shoes"], ["bad"]),
        ("embedding:bad, hat", [", hat"], ["bad"]),
        ("embedding:bad,", [", "], ["bad"]),
        ("a embedding:x b embedding:sub/y.pt c", ["a ", "b", "c"], ["x", "sub/y.pt"]),
        ("a\nembedding:x", ["a\n"], ["x"]),
        ("myembedding:x", ["myembedding:x"], []),
        ("a,embedding:x", ["a,embedding:x"], []),  # neither at the start nor behind a blank
        ("embedding:a,embedding:b", [], ["a,embedding:b"]),
        ("embedding: bad", [], ["bad"]),
        ("embedding:", [], []),
        ("embedding:,", [", "], []),
        ("Embedding:x", ["Embedding:x"], []),
    ],
)
def test_embeddings_are_left_out_as_comfyui_leaves_out_those_it_does_not_find(
    segment: str, pieces: list[str], names: list[str]
) -> None:
    assert without_embeddings(segment) == (pieces, names)


def test_embeddings_of_prompts_are_named_once_and_found_in_brackets() -> None:
    assert embeddings("(embedding:a:1.2), hat embedding:b", "embedding:a") == ("embedding:a", "embedding:b")


@pytest.mark.parametrize("number", ["inf", "-inf", "Infinity", "nan", "1e999", "3.5e38"])
def test_a_number_that_is_not_finite_leaves_the_text_whole(number: str) -> None:
    assert parse_weights(f"(a:{number})") == [(f"a:{number}", 1.1)]


@pytest.mark.parametrize(
    ("prompt", "segments"),
    [
        ("a)", [("a)", 1.0)]),
        (":)", [(":)", 1.0)]),
        ("(", [("(", 1.0)]),
        ("a) (b) c", [("a) (b) c", 1.0)]),  # a surplus closing bracket turns the next opening one into text
        ("a) (b) (c (d))", [("a) (b) (c ", 1.0), ("d", 1.1), (")", 1.0)]),
        ("(a (b) c", [("(a (b) c", 1.0)]),  # nothing inside an open bracket is read
        ("((a)", [("(a", 1.1)]),  # unless the prompt ends in a closing one
        ("((a) (b)", [("a", 1.2100000000000002), (" ", 1.1), ("(b", 1.1)]),
        ("((a:1.3)", [("(a", 1.3)]),
        ("()", [("", 1.0)]),
        ("a()b", [("a", 1.0), ("b", 1.0)]),
    ],
)
def test_unbalanced_brackets_are_text(prompt: str, segments: list[tuple[str, float]]) -> None:
    assert parse_weights(prompt) == segments


@given(PLAIN)
def test_text_without_brackets_comes_back_whole(text: str) -> None:
    assert parse_weights(text) == [(text, 1.0)]


@given(st.text(st.characters(exclude_characters="\\")))
def test_escaped_brackets_come_back_as_brackets(text: str) -> None:
    assert parse_weights(text.replace("(", r"\(").replace(")", r"\)")) == [(text, 1.0)]


@given(PROMPTS)
def test_every_text_is_a_prompt(prompt: str) -> None:
    segments = parse_weights(prompt)
    assert segments
    assert all(math.isfinite(weight) for _, weight in segments)
    assert segments == [("", 1.0)] or all(text for text, _ in segments)


@given(PROMPTS)
def test_no_text_is_invented_or_moved(prompt: str) -> None:
    rest = iter(prompt)
    assert all(character in rest for text, _ in parse_weights(prompt) if text for character in text)


@given(st.integers(0, 60), st.text(st.characters(exclude_characters="()\\:"), min_size=1))
def test_each_bracket_multiplies_once_more(depth: int, text: str) -> None:
    weight = 1.0
    for _ in range(depth):
        weight *= 1.1
    assert parse_weights("(" * depth + text + ")" * depth) == [(text, weight)]


WEIGHTS = st.floats(-10, 10) | st.none()
TREES = st.recursive(
    st.text(st.characters(exclude_characters="()\\:"), min_size=1),
    lambda inside: st.tuples(st.lists(inside, min_size=1, max_size=4), WEIGHTS),
    max_leaves=12,
)


@given(st.lists(TREES, min_size=1, max_size=4))
def test_a_balanced_prompt_gives_each_text_the_weight_of_its_brackets(trees: list[object]) -> None:
    def written(tree: object) -> str:
        if isinstance(tree, str):
            return tree
        inside, weight = tree  # type: ignore[misc]
        number = "" if weight is None else f":{weight!r}"
        return f"({''.join(map(written, inside))}{number})"

    def weighted(tree: object, weight: float) -> list[tuple[str, float]]:
        if isinstance(tree, str):
            return [(tree, weight)]
        inside, own = tree  # type: ignore[misc]
        return [part for child in inside for part in weighted(child, weight * 1.1 if own is None else own)]

    def spread(segments: list[tuple[str, float]]) -> list[tuple[str, float]]:
        return [(character, weight) for text, weight in segments for character in text]

    expected = [part for tree in trees for part in weighted(tree, 1.0)]
    assert spread(parse_weights("".join(map(written, trees)))) == spread(expected)


@pytest.mark.parametrize(
    "prompt",
    [
        "(" * 20_000,
        "(" * 10_000 + "a" + ")" * 10_000,
        "(" * 20_000 + ")",
        ")(" * 10_000,
        "(a:1" * 5_000 + ")" * 5_000,
        "(a:" * 6_600 + ")",
        "(" * 9_999 + "a:11" + ")" * 9_999,
        "(a:" + "1" * 20_000 + ")",
        "((a) " * 4_000 + ")",
    ],
    ids=lambda prompt: prompt[:8],
)
def test_20000_characters_of_brackets_are_read_at_once(prompt: str) -> None:
    with bounded_effort(50):
        assert all(math.isfinite(weight) for _, weight in parse_weights(prompt))
