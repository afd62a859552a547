"""NovelAI's weights: `{tag}`, `[tag]` and `1.3::tag::`. Anima reads them as braces, brackets and colons.

`{red|blue}` and `{2::red|blue}` are wildcards here; their contents are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.prompting.hints.edits import TextEdit
from bot.prompting.hints.weights import GENTLE_WEIGHT, MIN_EFFECT, STRONG_WEIGHT
from bot.prompting.syntax import COMMAS
from bot.prompting.tags import TagIndex

#: A pair of braces multiplies the weight by this; a pair of brackets divides it.
_FACTOR = 1.05
#: Larger weights only distort an image.
_MAX_WEIGHT = 2.0

_MARK = re.compile(r"\\[{}|\[\]]|[{}|\[\]]")
_CLOSING = {"{": "}", "[": "]"}
_NUMBER = re.compile(r"(?<![\w.:])(-?\d{1,2}(?:\.\d{1,3})?)::")
_NUMBER_AT_END = re.compile(r"(?<![\w.:])-?\d{1,2}(?:\.\d{1,3})?\Z")
_ENDS_IN_WEIGHT = re.compile(r":\s*-?\d{0,6}\.?\d{1,6}\s*\Z")


def novelai_weights(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    groups = _groups(prompt)
    wildcards = [(group.start, group.end) for group in groups if group.is_wildcard]
    edits = [edit for group in groups for edit in _without_braces(prompt, group)]
    edits += _without_numbers(prompt, wildcards)
    end = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if edit.start >= end:
            yield edit
            end = edit.end


@dataclass(slots=True)
class _BraceGroup:
    """`prompt[start:end]`, including its braces or brackets. depth: how many pairs are nested directly."""

    mark: str
    start: int
    end: int = 0
    is_wildcard: bool = False
    depth: int = 1


def _groups(prompt: str) -> list[_BraceGroup]:
    """The outermost groups, in order."""
    open_now: list[_BraceGroup] = []
    outer: list[_BraceGroup] = []
    only_child: dict[int, _BraceGroup] = {}
    for match in _MARK.finditer(prompt):
        mark = match[0]
        if mark in _CLOSING:
            open_now.append(_BraceGroup(mark, match.start()))
        elif mark == "|" and open_now:
            open_now[0].is_wildcard = True
        elif open_now and mark == _CLOSING[open_now[-1].mark]:
            group = open_now.pop()
            group.end = match.end()
            inner = only_child.pop(group.start + 1, None)
            if inner is not None and inner.mark == group.mark and inner.end == group.end - 1:
                group.depth = inner.depth + 1
            if open_now:
                only_child[group.start] = group
            else:
                outer.append(group)
    return outer


def _without_braces(prompt: str, group: _BraceGroup) -> Iterator[TextEdit]:
    inside = prompt[group.start + group.depth : group.end - group.depth]
    if group.is_wildcard or not inside.strip() or not _stands_alone(prompt, group.start, group.end):
        return
    if group.mark == "[" and ":" in inside:  # A1111's prompt editing during sampling
        return
    if _ENDS_IN_WEIGHT.search(inside[-24:]):
        replacement = f"({inside})"
    elif re.search(r"[{}\[\]()]", inside):
        replacement = inside
    else:
        replacement = _weighted(inside, _FACTOR ** (group.depth if group.mark == "{" else -group.depth))
    yield TextEdit(group.start, group.end, replacement)


def _stands_alone(prompt: str, start: int, end: int) -> bool:
    """Whether it is between commas or brackets, like a tag."""
    while start > 0 and prompt[start - 1] == " ":
        start -= 1
    while end < len(prompt) and prompt[end] == " ":
        end += 1
    before = start == 0 or prompt[start - 1] in COMMAS + "(:"
    return before and (end == len(prompt) or prompt[end] in COMMAS + "):.")


def _without_numbers(prompt: str, wildcards: list[tuple[int, int]]) -> Iterator[TextEdit]:
    end = 0
    for number in _NUMBER.finditer(prompt):
        if number.start() < end or any(start < number.start() < stop for start, stop in wildcards):
            continue
        closing = prompt.find("::", number.end())
        stop = end = len(prompt) if closing == -1 else closing
        if closing != -1:
            following = _NUMBER_AT_END.search(prompt, max(number.end(), closing - 8), closing)
            stop, end = (following.start(), following.start()) if following else (closing, closing + 2)
        inside = prompt[number.end() : stop]
        kept = inside.strip(" \t\n" + COMMAS)
        tail = inside[len(inside.rstrip(" \t\n" + COMMAS)) :] if kept else ""
        yield TextEdit(number.start(), end, (_weighted(kept, float(number[1])) if kept else "") + tail)


def _weighted(text: str, weight: float) -> str:
    """Writes a weight in Anima's syntax, strong enough to have a visible effect."""
    if weight == 1:
        return text
    if abs(weight - 1) <= MIN_EFFECT + 1e-9:
        return f"({text}:{STRONG_WEIGHT if weight > 1 else GENTLE_WEIGHT})"
    return f"({text}:{max(-_MAX_WEIGHT, min(_MAX_WEIGHT, weight)):.3g})"
