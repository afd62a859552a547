"""Finds the tags in a prompt: the text between commas, without brackets and weights."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass

COMMAS = ",\n、，"  # noqa: RUF001  the last two are what Japanese keyboards give
BLANKS_AND_COMMAS = string.whitespace + "\u3000" + COMMAS
#: The scripts without spaces between words, for a character class.
UNSPACED_SCRIPTS = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f"

_MAX_WEIGHT_LENGTH = 16  # ":1.25" and blanks around it
_OPENINGS = re.compile(r"[\s(]*")
_BRACKET = re.compile(r"(?<!\\)[()]")
_COMMA = re.compile(f"[{COMMAS}]")
_COMMA_OR_BRACKET = re.compile(rf"[{COMMAS}]|(?<!\\)[()]")
_ESCAPED_BRACKET = re.compile(r"\\([()])")
_KEEPS_UNDERSCORES = re.compile(r"score_\d+\Z|(?!.*[^\W_]{2})")  # score_7; and faces such as >_< or o_o


@dataclass(frozen=True, slots=True)
class TagSpan:
    """`prompt[start:end]` is a tag as written; `name` is its normalized form, see `tag_name`."""

    start: int
    end: int
    name: str


def tag_spans(prompt: str) -> list[TagSpan]:
    """Every tag of the prompt, in order. Any text between two commas is a tag, even two sentences."""
    spans = []
    for start, end in comma_pieces(prompt):
        start, end = _without_weight(prompt, start, end)
        if start < end:
            spans.append(TagSpan(start, end, tag_name(prompt[start:end])))
    return spans


def tag_name(text: str) -> str:
    """A tag as Anima knows it: lower case, brackets unescaped, spaces for underscores except in `score_7` and in faces.

    >>> tag_name(r"Saber_\\(Fate\\)")
    'saber (fate)'
    """
    words = _ESCAPED_BRACKET.sub(r"\1", text).lower().split()
    return " ".join(" ".join(word if keeps_underscores(word) else word.replace("_", " ") for word in words).split())


def keeps_underscores(word: str) -> bool:
    return _KEEPS_UNDERSCORES.match(word) is not None


def escape_brackets(name: str) -> str:
    """The name as spelled in prompts, where bare brackets are weights."""
    return name.replace("(", r"\(").replace(")", r"\)")


def comma_pieces(prompt: str) -> Iterator[tuple[int, int]]:
    """Start and end of each piece between commas."""
    return _between(prompt, (comma.start() for comma in _COMMA.finditer(prompt)))


def outer_pieces(prompt: str) -> Iterator[tuple[int, int]]:
    """Start and end of each piece between commas outside of brackets."""
    return _between(prompt, _outer_commas(prompt))


def _outer_commas(prompt: str) -> Iterator[int]:
    depth = 0
    for mark in _COMMA_OR_BRACKET.finditer(prompt):
        if mark[0] == "(":
            depth += 1
        elif mark[0] == ")":
            depth = max(0, depth - 1)
        elif depth == 0:
            yield mark.start()


def _between(prompt: str, commas: Iterator[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for comma in commas:
        yield start, comma
        start = comma + 1
    yield start, len(prompt)


def _without_weight(prompt: str, start: int, end: int) -> tuple[int, int]:
    """Removes the brackets that enclose a tag, and their weights."""
    openings = _OPENINGS.match(prompt, start, end)
    start = openings.end() if openings else start
    surplus = sum(1 if bracket[0] == ")" else -1 for bracket in _BRACKET.finditer(prompt, start, end))
    while True:
        while end > start and prompt[end - 1].isspace():
            end -= 1
        if surplus <= 0 or end == start or prompt[end - 1] != ")" or prompt[end - 2 : end - 1] == "\\":
            break
        surplus -= 1
        end = _before_weight(prompt, start, end - 1)
    if openings and "(" in openings[0]:  # closed after another comma, or never
        end = _before_weight(prompt, start, end)
    while end > start and prompt[end - 1].isspace():
        end -= 1
    return start, end


def _before_weight(prompt: str, start: int, end: int) -> int:
    colon = prompt.rfind(":", max(start, end - _MAX_WEIGHT_LENGTH), end)
    if colon <= start:
        return end
    try:
        float(prompt[colon + 1 : end])
    except ValueError:
        return end
    return colon
