"""Parses a prompt's weights: splits it at brackets into segments, each with the factor for its tokens.

The syntax is ComfyUI's, so that prompts mean the same in both:

- `(text)` multiplies the weight around it by 1.1, and nesting multiplies again.
- `(text:1.3)` sets the weight absolutely, whatever surrounds it. The last colon counts, there must be text before it,
  and the number is anything that Python's `float` accepts: `1e3`, `1_0`, `-1`, blanks around it.
- If the number does not parse, everything in the brackets is text, at 1.1.
- `\\(` and `\\)` are literal brackets.
- Unbalanced brackets are text. After an unclosed bracket, everything is text, brackets included, unless the prompt ends
  in a closing bracket: then those two form a pair, and the text between them is parsed by the same rules.

In ComfyUI, `embedding:name` at the start of a segment or after a blank stands for the vectors in a file. There are no
such files for Anima, so it is left out, as ComfyUI does with an embedding that it does not find.

One difference: `inf`, `nan` and numbers beyond float32 (3.4e38) count as numbers that do not parse, and nesting does
not raise a weight beyond float32, because a single infinite weight spoils the image.
"""

import math
import re
from bisect import bisect_left
from dataclasses import dataclass

BRACKET_WEIGHT = 1.1
_MAX_WEIGHT = (2 - 2**-23) * 2.0**127  # the largest float32, the dtype in which tokens are weighted

_MARK = re.compile(r"\\[()]|[():]")
_EMBEDDING = re.compile(r"(?:(?<=\s)|\A)embedding:")
_ESCAPED_BRACKET = re.compile(r"\\([()])")


def parse_weights(prompt: str) -> list[tuple[str, float]]:
    """The prompt's segments, in order, without markup, each with its finite weight.

    Any text is valid: nothing raises, and the time is linear in its length. The list is never empty: a prompt without
    text, such as `""` or `"()"`, gives the one segment `("", 1.0)`.

    >>> parse_weights("(chibi:2), 1girl")
    [('chibi', 2.0), (', 1girl', 1.0)]
    """
    marks = _Marks.of(prompt)
    segments: list[tuple[str, float]] = []

    def add(start: int, end: int, weight: float) -> None:
        if start < end:
            segments.append((_ESCAPED_BRACKET.sub(r"\1", prompt[start:end]), weight))

    # Parts of the prompt still to be parsed, the next one last. Each opening bracket is visited once, left to right.
    pending = [(0, len(prompt), 1.0)]
    next_opening = 0
    while pending:
        start, end, weight = pending.pop()
        while next_opening < len(marks.openings) and marks.openings[next_opening] < start:
            next_opening += 1
        if next_opening == len(marks.openings) or marks.openings[next_opening] >= end:
            add(start, end, weight)
            continue
        opening = marks.openings[next_opening]
        add(start, opening, weight)
        closing = marks.partner.get(opening, end)
        if closing >= end:  # not closed
            closing = end - 1
            if not _is_bracket(prompt, closing):
                add(opening, end, weight)
                continue
        pending.append((closing + 1, end, weight))
        number, inner_end = marks.number_at_end(prompt, opening + 1, closing)
        pending.append((opening + 1, inner_end, _within_bracket(weight) if number is None else number))
    return segments or [("", 1.0)]


def infinite_weight(prompt: str) -> str | None:
    """The first weight that Python's `float` accepts but no image can be drawn with: `nan`, `inf`."""
    marks = _Marks.of(prompt)
    for opening, closing in sorted(marks.partner.items()):
        colon = marks.colon_of_number(opening + 1, closing)
        if colon is not None and _is_infinite(prompt[colon + 1 : closing]):
            return prompt[colon + 1 : closing].strip()
    return None


def _is_infinite(number: str) -> bool:
    try:
        return not math.isfinite(float(number)) and not any(digit in number for digit in "0123456789")
    except ValueError:
        return False


def _is_bracket(prompt: str, position: int) -> bool:
    return prompt[position] == ")" and prompt[position - 1] != "\\"


def _within_bracket(weight: float) -> float:
    heavier = weight * BRACKET_WEIGHT
    return heavier if _is_usable(heavier) else weight


def _is_usable(weight: float) -> bool:
    return abs(weight) <= _MAX_WEIGHT  # False for nan


def without_embeddings(segment: str) -> tuple[list[str], list[str]]:
    """The pieces of a segment around each `embedding:name`, to be tokenized separately, and the names.

    As in ComfyUI, blanks after a name are collapsed up to the next `embedding:`, and commas at its end are kept.

    >>> without_embeddings("smile, embedding:bad, hat")
    (['smile, ', ', hat'], ['bad'])
    """
    first, *parts = _EMBEDDING.split(segment)
    pieces, names = [first], []
    for part in parts:
        name, *words = part.split() or [""]
        rest = " ".join(words)
        bare = name.strip(",")
        pieces.append(f"{name[len(bare) :]} {rest}" if bare != name else rest)
        names.append(bare)
    return [piece for piece in pieces if piece], [name for name in names if name]


def embeddings(*prompts: str) -> tuple[str, ...]:
    """The embeddings that the prompts name (all of them are left out), as `embedding:name`, each once."""
    names = (name for prompt in prompts for text, _ in parse_weights(prompt) for name in without_embeddings(text)[1])
    return tuple(dict.fromkeys(f"embedding:{name}" for name in names))


@dataclass(frozen=True)
class _Marks:
    """The positions of the prompt's brackets and colons, each list ascending."""

    openings: list[int]  # those that open a group or are never closed
    partner: dict[int, int]  # opening -> its closing
    brackets: list[int]  # every bracket, also escaped and surplus ones
    colons: list[int]

    @classmethod
    def of(cls, prompt: str) -> "_Marks":
        openings: list[int] = []
        partner: dict[int, int] = {}
        brackets: list[int] = []
        colons: list[int] = []
        open_now: list[int] = []
        surplus = 0  # closing brackets without an opening one: each turns the next opening bracket into text
        for mark in _MARK.finditer(prompt):
            position = mark.end() - 1
            if mark[0] == ":":
                colons.append(position)
                continue
            brackets.append(position)
            if mark[0] == "(" and surplus:
                surplus -= 1
            elif mark[0] == "(":
                open_now.append(position)
                openings.append(position)
            elif mark[0] == ")" and open_now:
                partner[open_now.pop()] = position
            elif mark[0] == ")":
                surplus += 1
        return cls(openings, partner, brackets, colons)

    def number_at_end(self, prompt: str, start: int, end: int) -> tuple[float | None, int]:
        """The weight at the end of a group's content `prompt[start:end]`, and where the text before it ends."""
        colon = self.colon_of_number(start, end)
        if colon is None:
            return None, end
        try:
            number = float(prompt[colon + 1 : end])
        except ValueError:
            return None, end
        return (number, colon) if _is_usable(number) else (None, end)

    def colon_of_number(self, start: int, end: int) -> int | None:
        """The position of the group's last colon, if a number can follow it."""
        colon = _last_before(end, self.colons)
        # A number contains no bracket. Checking this first keeps the time linear: otherwise nested groups would all
        # parse the same long rest.
        return None if colon <= start or _last_before(end, self.brackets) > colon else colon


def _last_before(end: int, positions: list[int]) -> int:
    """The last of the ascending positions below `end`, or -1."""
    count = bisect_left(positions, end)
    return positions[count - 1] if count else -1
