"""Known tags and artists in spellings that Anima does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.prompting.hints.edits import TextEdit
from bot.prompting.syntax import TagSpan, escape_brackets, keeps_underscores, tag_name, tag_spans
from bot.prompting.tags import Category, TagIndex

#: In characters. Shorter names are too often ordinary words.
MIN_ARTIST_LENGTH = 4

_WORD = re.compile(r"(?:\\[()]|[^\s,()<>\\])+")
_SCORE_WITH_SPACE = re.compile(r"score (\d+)", re.IGNORECASE)
_SCORE = re.compile(r"score_\d", re.IGNORECASE)
_BY_ARTIST = re.compile(
    r"(?:(?:art |drawn |illustrated |painted )?by|artist:|artist|(?:in the )?style of)\s*@?\s*(\S.*)",
    re.IGNORECASE | re.DOTALL,
)


def underscores(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    for span in tag_spans(prompt):
        text = prompt[span.start : span.end]
        score = _SCORE_WITH_SPACE.fullmatch(text)
        if score:
            yield TextEdit(span.start, span.end, f"score_{score[1]}")
            continue
        for word in _WORD.finditer(prompt, span.start, span.end):
            if _wants_spaces(word[0], tags):
                yield TextEdit(word.start(), word.end(), word[0].replace("_", " "))


def _wants_spaces(word: str, tags: TagIndex) -> bool:
    if "_" not in word or word[0] == "_" or word[-1] == "_" or "/" in word:  # __wildcard__ and addresses are not tags
        return False
    if keeps_underscores(word) or _SCORE.match(word):
        return False
    return not word.startswith("@") or _is_artist(tag_name(word[1:]), tags)


def upper_case(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    for span in tag_spans(prompt):
        text = prompt[span.start : span.end]
        if text != text.lower() and tags.find(span.name.removeprefix("@")):
            yield TextEdit(span.start, span.end, text.lower())


def artists_without_at(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    for span in tag_spans(prompt):
        name = _artist_meant(span, prompt, tags)
        if name:
            yield TextEdit(span.start, span.end, "@" + escape_brackets(name))


def _artist_meant(span: TagSpan, prompt: str, tags: TagIndex) -> str | None:
    if len(span.name) >= MIN_ARTIST_LENGTH and _is_artist(span.name, tags):
        return span.name
    by = _BY_ARTIST.fullmatch(prompt, span.start, span.end)
    name = tag_name(by[1]) if by else ""
    return name if _is_artist(name, tags) else None


def _is_artist(name: str, tags: TagIndex) -> bool:
    return tags.category_of(name) is Category.ARTIST
