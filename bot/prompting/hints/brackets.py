"""Brackets that are not weights: in names, and unmatched ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.prompting.hints.edits import TextEdit
from bot.prompting.syntax import comma_pieces, tag_spans
from bot.prompting.tags import TagIndex

BRACKET = re.compile(r"(?<!\\)[()]")
_BOORU_NAME = re.compile(r"[^\s()\\,:]_\([^()\\,:]+\)\Z")
_NUMBER_AT_END = re.compile(r":\s*-?(?:\d{1,6}\.?\d{0,6}|\.\d{1,6})\s*\Z")
_MAX_NUMBER_LENGTH = 24
_FACES = frozenset((":)", ":(", ";)", ";(", ":-)", ":-(", ">:)", ">:(", ":'(", "=)", "=(", "(:", "):"))


def names_in_brackets(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    for span in tag_spans(prompt):
        text = prompt[span.start : span.end]
        brackets = [bracket.start() for bracket in BRACKET.finditer(text)]
        if not brackets or (not _BOORU_NAME.search(text) and not ("(" in span.name and tags.find(span.name))):
            continue
        for bracket in brackets:
            at = span.start + bracket
            yield TextEdit(at, at + 1, "\\" + prompt[at])


def unbalanced_brackets(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    lonely = unmatched_brackets(prompt)
    if not lonely:
        return
    edits: list[TextEdit] = []
    pieces = iter(comma_pieces(prompt))
    start, end = next(pieces)
    for at in lonely:
        while at >= end:
            start, end = next(pieces)
        edits.append(_without_unmatched(prompt, at, start, end))
    yield from sorted(edits, key=lambda edit: (edit.start, edit.end))


def unmatched_brackets(prompt: str) -> list[int]:
    open_now: list[int] = []
    surplus: list[int] = []
    for bracket in BRACKET.finditer(prompt):
        if bracket[0] == "(":
            open_now.append(bracket.start())
        elif open_now:
            open_now.pop()
        else:
            surplus.append(bracket.start())
    return surplus + open_now


def _without_unmatched(prompt: str, at: int, start: int, end: int) -> TextEdit:
    """Adds the missing bracket if there is a weight, escapes the bracket of a face, and else removes the bracket."""
    if end - start <= _MAX_NUMBER_LENGTH and prompt[start:end].strip() in _FACES:
        return TextEdit(at, at + 1, "\\" + prompt[at])
    if prompt[at] == "(":
        while end > at + 1 and prompt[end - 1].isspace():
            end -= 1
        if _NUMBER_AT_END.search(prompt, max(at + 2, end - _MAX_NUMBER_LENGTH), end):
            return TextEdit(end, end, ")")
    elif number := _NUMBER_AT_END.search(prompt, max(start, at - _MAX_NUMBER_LENGTH), at):
        while start < number.start() and (prompt[start].isspace() or prompt[start] in "()"):
            start += 1
        if start < number.start():
            return TextEdit(start, start, "(")
    return TextEdit(at, at + 1, "")
