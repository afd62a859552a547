"""Weights too close to 1 to show."""

from __future__ import annotations

from collections.abc import Iterator

from bot.prompting.hints.brackets import BRACKET, unmatched_brackets
from bot.prompting.hints.edits import TextEdit
from bot.prompting.syntax import outer_pieces
from bot.prompting.tags import TagIndex
from inference.prompt import parse_weights

#: A weight nearer to 1 than this, or just as near, is too weak to show.
#:
#: A weight multiplies what the adapter says of a token. The transformer makes keys and values of that, and takes the
#: RMS norm of the keys, which undoes any positive factor: where attention goes stays as it was, and only the value
#: counts by as much more. `(smile:1.1)` so adds a tenth of one tag's share. With SDXL the same weight moves the keys
#: too, hence the attention by an exponential; who comes from there writes 1.1 or 1.2. Anima's own example is
#: `(chibi:2)`.
MIN_EFFECT = 0.2
#: What a too weak weight becomes, above and below 1.
STRONG_WEIGHT, GENTLE_WEIGHT = "1.5", "0.5"


def weak_weights(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    if unmatched_brackets(prompt):
        return
    alone = {_stripped(prompt, start, end) for start, end in outer_pieces(prompt)}
    for start, end in _simple_groups(prompt):
        inside = prompt[start + 1 : end - 1]
        text, weight = parse_weights(prompt[start:end])[0]
        if weight == 1 or abs(weight - 1) > MIN_EFFECT + 1e-9 or not text.strip():
            continue
        has_number = len(text) < len(parse_weights(inside)[0][0])
        if has_number:
            inside = inside[: inside.rindex(":")]
        elif (start, end) not in alone:  # brackets in prose
            continue
        yield TextEdit(start, end, f"({inside}:{STRONG_WEIGHT if weight > 1 else GENTLE_WEIGHT})")


def _simple_groups(prompt: str) -> Iterator[tuple[int, int]]:
    """Groups that are not nested in either direction."""
    depth = 0
    simple = False
    start = 0
    for bracket in BRACKET.finditer(prompt):
        if bracket[0] == "(":
            simple = depth == 0
            start = bracket.start() if simple else start
            depth += 1
        else:
            depth -= 1
            if depth == 0 and simple:
                yield start, bracket.end()


def _stripped(prompt: str, start: int, end: int) -> tuple[int, int]:
    while start < end and prompt[start].isspace():
        start += 1
    while start < end and prompt[end - 1].isspace():
        end -= 1
    return start, end
