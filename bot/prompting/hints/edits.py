"""Edits of a prompt: text to replace, and text to move to options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.prompting.syntax import COMMAS

_BLANKS = re.compile(r"[ \t]*")
_BLANKS_AND_COMMA = re.compile(rf"[ \t]*[{COMMAS}]?[ \t]*")


@dataclass(frozen=True, slots=True)
class TextEdit:
    """If `start` equals `end`, the replacement is inserted. A replacement may equal the original.

    moved: the option for the words, and its value; see `Correction`.
    """

    start: int
    end: int
    replacement: str
    moved: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class UnwantedText:
    """Text to remove, `prompt[start:end]`. `moved` as in `TextEdit`."""

    start: int
    end: int
    moved: tuple[str, str] | None = None


def applied(prompt: str, edits: Iterable[TextEdit]) -> str:
    written: list[str] = []
    end = 0
    for edit in edits:
        written += [prompt[end : edit.start], edit.replacement]
        end = edit.end
    return "".join([*written, prompt[end:]])


def removed(prompt: str, unwanted: Iterable[UnwantedText], between: str) -> Iterator[TextEdit]:
    """Removes sorted pieces of text, with the commas and blanks that would be left over."""
    last = 0
    after_comma = True
    for each in unwanted:
        if each.start < last:
            continue
        start = each.start
        while start > last and prompt[start - 1] in " \t":
            start -= 1
        follows_removal = start == last and last > 0
        if not follows_removal:
            after_comma = start == 0 or prompt[start - 1] in COMMAS
        rest = (_BLANKS_AND_COMMA if after_comma else _BLANKS).match(prompt, each.end)
        last = rest.end() if rest else each.end
        if follows_removal or start == 0:
            replacement = ""
        elif after_comma:
            replacement = " "
        else:
            replacement = "" if last == len(prompt) or prompt[last] in COMMAS + ")" else between
        yield TextEdit(start, last, replacement, each.moved)
