"""Cuts messages and forms to Discord's limits just before they are sent, after formatting, so they always fit.

Most texts are already short enough. Otherwise the longest line, usually a prompt, is cut first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from discord import ComponentType

from bot.messages.limits import MAX_ALT_TEXT_LENGTH, MAX_CHOICE_LENGTH, MAX_FIELD_LENGTH, MAX_TEXT_LENGTH

Component: TypeAlias = "dict[str, Any]"


MAX_BUTTON_LABEL, MAX_PLACEHOLDER = 80, 150
#: Characters of a modal's title, and of its fields' labels, placeholders and descriptions.
MAX_TITLE, MAX_FIELD_LABEL, MAX_FIELD_PLACEHOLDER, MAX_FIELD_DESCRIPTION = 45, 45, 100, 100
#: A line is not cut below this length if something else can be cut.
MIN_LINE_LENGTH = 60
#: How many lines at the end of a text of many short lines are kept.
LAST_LINES = 2
ELLIPSIS = "…"
#: Replaces text that Discord would treat as empty.
BLANK = "\u200b"

#: Unfinished markup at the end of a text: a mention or a time, a link, a backslash.
_BEGUN = (
    re.compile(r"<(?:@[!&]?|#|t:|/|a?:)[^>\n]*\Z"),
    re.compile(r"\[[^\[\]\n]*(?:\]\([^()\n]*)?\Z"),
    re.compile(r"(?<!\\)(?:\\\\)*\\\Z"),
)
_ESCAPED = re.compile(r"\\.", re.DOTALL)


def length(text: str) -> int:
    """The length in UTF-16 units, as in JavaScript. It is never less than what Discord counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def truncate_to_limit(text: str, max_length: int) -> str:
    """Cut a text to `max_length` characters, at least one, without breaking escapes, mentions, links or emphasis."""
    if length(text) <= max_length:
        return text
    kept = text[: max(max_length - 1, 0)]
    while length(kept) > max_length - 1:
        kept = kept[: -max(1, (length(kept) - max_length + 1) // 2)]
    for begun in _BEGUN:
        kept = begun.sub("", kept)
    for mark in ("`", "**"):
        kept = _closed(kept, mark)
    kept = _BEGUN[-1].sub("", kept)
    return kept.rstrip() + ELLIPSIS


def _closed(text: str, mark: str) -> str:
    """Remove an unclosed mark and the text after it."""
    plain = _ESCAPED.sub("\0\0", text)
    return text[: plain.rindex(mark)] if plain.count(mark) % 2 else text


def fit_components(components: list[Component]) -> list[Component]:
    """Cut each component to its own limit, and all texts together to the message's limit."""
    texts = []
    for component in _walk(components):
        match component.get("type"):
            case ComponentType.button.value:
                _truncate(component, "label", MAX_BUTTON_LABEL)
            case ComponentType.select.value:
                _truncate(component, "placeholder", MAX_PLACEHOLDER)
            case ComponentType.text_display.value:
                component["content"] = component["content"] if component["content"].strip() else BLANK
                texts.append(component)
        for option in component.get("options") or ():
            _truncate(option, "label", MAX_CHOICE_LENGTH)
            _truncate(option, "description", MAX_CHOICE_LENGTH)
        if "media" in component:
            _truncate(component, "description", MAX_ALT_TEXT_LENGTH)
        for item in component.get("items") or ():
            _truncate(item, "description", MAX_ALT_TEXT_LENGTH)
    _fit_together(texts, MAX_TEXT_LENGTH)
    return components


def fit_modal(modal: Component) -> Component:
    """Cut each text of a modal to its limit."""
    _truncate(modal, "title", MAX_TITLE)
    for component in _walk(modal["components"]):
        _truncate(component, "label", MAX_FIELD_LABEL)
        if component.get("type") == ComponentType.text_input.value:
            _truncate(component, "placeholder", MAX_FIELD_PLACEHOLDER)
            if component.get("value"):  # the user submits it again, so it gets no ellipsis
                component["value"] = component["value"][: component.get("max_length") or MAX_FIELD_LENGTH]
        elif component.get("type") == ComponentType.label.value:
            _truncate(component, "description", MAX_FIELD_DESCRIPTION)
        else:
            _truncate(component, "placeholder", MAX_PLACEHOLDER)
        for option in component.get("options") or ():
            _truncate(option, "label", MAX_CHOICE_LENGTH)
            _truncate(option, "description", MAX_CHOICE_LENGTH)
    return modal


def _truncate(component: Component, name: str, max_length: int) -> None:
    if isinstance(component.get(name), str) and length(component[name]) > max_length:
        component[name] = truncate_to_limit(component[name], max_length)


def _walk(components: list[Component]) -> Iterator[Component]:
    for component in components:
        yield component
        yield from _walk(component.get("components") or [])
        for name in ("component", "accessory"):
            if isinstance(component.get(name), dict):
                yield from _walk([component[name]])


def _fit_together(texts: list[Component], max_length: int) -> None:
    while (over := sum(length(text["content"]) for text in texts) - max_length) > 0:
        lines = [text["content"].split("\n") for text in texts]
        size, at, number = max((length(line), at, n) for at, own in enumerate(lines) for n, line in enumerate(own))
        if size > MIN_LINE_LENGTH:
            line = lines[at][number]
            lines[at][number] = truncate_to_limit(line, max(size - over, MIN_LINE_LENGTH))
            texts[at]["content"] = "\n".join(lines[at])
        else:  # many short lines
            size, at = max((length(text["content"]), at) for at, text in enumerate(texts))
            texts[at]["content"] = _truncate_before_end(lines[at], max(size - over, 1))


def _truncate_before_end(lines: list[str], max_length: int) -> str:
    """Cut in the middle and keep the last lines."""
    end = "\n".join(["", *lines[-LAST_LINES:]])
    if len(lines) <= LAST_LINES or length(end) >= max_length:
        return truncate_to_limit("\n".join(lines), max_length)
    return truncate_to_limit("\n".join(lines[:-LAST_LINES]), max_length - length(end)) + end
