"""Weights too close to 1 to have a visible effect."""

from __future__ import annotations

from collections.abc import Iterator

from bot.prompting.hints.brackets import BRACKET, unmatched_brackets
from bot.prompting.hints.edits import TextEdit
from bot.prompting.syntax import outer_pieces
from bot.prompting.tags import TagIndex
from inference.prompt import parse_weights

#: A weight that differs from 1 by this or less has no visible effect.
#:
#: A weight multiplies the adapter's output for a token. The transformer computes keys and values from that, and applies
#: RMS norm to the keys, which cancels any positive factor: the attention does not change, only the value is scaled.
#: So `(smile:1.1)` adds a tenth of one tag's share. In SDXL the weight scales the keys too, so it changes the attention
#: exponentially; users of SDXL are used to 1.1 or 1.2. Anima's own example is `(chibi:2)`.
MIN_EFFECT = 0.2
#: Replacements for weights that are too weak, above and below 1.
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
    """Groups that contain no group and are inside none."""
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
