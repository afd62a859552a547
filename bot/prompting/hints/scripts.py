"""Full-width characters, and Japanese, Chinese and Korean words that the tag list may translate."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from bot.prompting.hints.edits import TextEdit
from bot.prompting.syntax import comma_pieces
from bot.prompting.tags import TagIndex

_FULL_WIDTH = re.compile(r"[\uff01-\uff5e\u3000]+|\u3001")
_COMMA = re.compile(r", ?")
_KANA = re.compile(r"[\u3041-\u30ff\uff66-\uff9f]")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7af]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_ANY = re.compile("|".join(script.pattern for script in (_KANA, _HANGUL, _HAN)))
_WORD = re.compile(r"[^\s()\[\]{}|:\\]+")


def full_width(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    """Replaces full-width commas, brackets and colons, which have no meaning in a prompt."""
    for match in _FULL_WIDTH.finditer(prompt):
        plain = _COMMA.sub(", ", unicodedata.normalize("NFKC", match[0].replace("\u3001", ",")))
        following = prompt[match.end() : match.end() + 1]
        yield TextEdit(match.start(), match.end(), plain.rstrip() if not following or following.isspace() else plain)


def japanese(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    return _translated(prompt, tags) if _KANA.search(prompt) else iter(())


def korean(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    return _translated(prompt, tags) if _HANGUL.search(prompt) and not _KANA.search(prompt) else iter(())


def chinese(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    has_others = _KANA.search(prompt) or _HANGUL.search(prompt)
    return _translated(prompt, tags) if _HAN.search(prompt) and not has_others else iter(())


def _translated(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    """Translates each tag in one of these scripts; unknown ones are left unchanged."""
    for start, end in comma_pieces(prompt):
        if not _ANY.search(prompt, start, end):
            continue
        found = list(_words(prompt, start, end, tags))
        if any(edit.replacement != prompt[edit.start : edit.end] for edit in found):
            yield from found
        else:
            while start < end and prompt[start].isspace():
                start += 1
            yield TextEdit(start, end, prompt[start:end])


def _words(prompt: str, start: int, end: int, tags: TagIndex) -> Iterator[TextEdit]:
    text = prompt[start:end].strip()
    whole = tags.find_alias(text)
    if whole is not None:
        at = prompt.index(text, start)
        yield TextEdit(at, at + len(text), whole.in_prompt)
        return
    for word in _WORD.finditer(prompt, start, end):
        tag = tags.find_alias(word[0]) if _ANY.search(word[0]) else None
        if tag is not None:
            yield TextEdit(word.start(), word.end(), tag.in_prompt)
