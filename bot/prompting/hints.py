"""Hints: what in a prompt Anima surely takes otherwise than it was meant, and the prompt with that fixed.

Only what is sure becomes a hint. A prompt may be prose, so a word counts as a tag only where it stands alone between
commas, and as an artist's or a known tag's name only where the index of tags has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bot.prompting.syntax import (
    COMMAS,
    TagSpan,
    comma_pieces,
    escape_brackets,
    keeps_underscores,
    outer_pieces,
    tag_name,
    tag_spans,
)
from bot.prompting.tags import Category, TagIndex
from inference.prompt import parse_weights

#: A weight nearer to 1 than this, or just as near, is too weak to show.
#:
#: A weight multiplies what the adapter says of a token. The transformer makes keys and values of that, and takes the
#: RMS norm of the keys, which undoes any positive factor: where attention goes stays as it was, and only the value
#: counts by as much more. `(smile:1.1)` so adds a tenth of one tag's share. With SDXL the same weight moves the keys
#: too, hence the attention by an exponential; who comes from there writes 1.1 or 1.2. Anima's own example is
#: `(chibi:2)`.
WEAKEST_EFFECT = 0.2
#: What a weight that is too weak becomes, over and under 1.
STRONG_WEIGHT, GENTLE_WEIGHT = "1.5", "0.5"

#: Characters: shorter names are words too often.
MIN_ARTIST_LENGTH = 4

MAX_ROUNDS = 8


class HintCode(StrEnum):
    LORA_SYNTAX = "lora_syntax"  # <lora:name:0.8> is nothing but text; there is an option for it
    EMBEDDING = "embedding"  # made for other models' text encoders
    BREAK = "break"  # a keyword of other programs
    NAME_IN_BRACKETS = "name_in_brackets"  # saber_(fate) is a weight, saber \(fate\) a name
    UNBALANCED_BRACKETS = "unbalanced_brackets"
    UNDERSCORES = "underscores"  # tags have spaces, scores an underscore
    UPPER_CASE = "upper_case"
    ARTIST_WITHOUT_AT = "artist_without_at"
    WEAK_WEIGHT = "weak_weight"


@dataclass(frozen=True)
class Hint:
    """`spans` are start and end of each place in the prompt; `fixed` is the prompt with all of these fixed."""

    code: HintCode
    spans: tuple[tuple[int, int], ...]
    fixed: str


def hints(prompt: str, tags: TagIndex) -> list[Hint]:
    """At most one of each kind, in the order in which they are fixed. Any text is a prompt; nothing raises."""
    found = []
    for code, fix in _FIXES.items():
        edits = list(fix(prompt, tags))
        if edits:
            found.append(Hint(code, tuple((edit.start, edit.end) for edit in edits), _applied(prompt, edits)))
    return found


def fixed(prompt: str, tags: TagIndex) -> str:
    """The prompt with everything fixed, so that no hint is left.

    One so tangled that its fixes cause new hints, again and again, is returned as it is.
    """
    text = prompt
    for _ in range(MAX_ROUNDS):
        before = text
        for fix in _FIXES.values():
            text = _applied(text, fix(text, tags))
        if text == before:
            return text
    return prompt


@dataclass(frozen=True, slots=True)
class _Edit:
    """`start` and `end` may be the same: something is put in there."""

    start: int
    end: int
    replacement: str


def _applied(prompt: str, edits: Iterable[_Edit]) -> str:
    written: list[str] = []
    end = 0
    for edit in edits:
        written += [prompt[end : edit.start], edit.replacement]
        end = edit.end
    return "".join([*written, prompt[end:]])


# --- What other programs understand and Anima does not ---

_LORA = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_BREAK = re.compile(r"(?<![^\s,])BREAK(?![^\s,])")
_EMBEDDING_NAME = (
    r"(?:embedding:[^\s,():<>]+|(?:easynegative(?:v2)?|fastnegativev2|badhandv4|bad-hands-5|negative_hand(?:-neg)?"
    r"|bad-artist(?:-anime)?|bad-picture-chill-\d+v|bad_prompt_version2|ng_deepnegative_v1_\d+t"
    r"|verybadimagenegative_v1\.[0-3]|unaestheticxl\w{0,8}|negativexl_\w{1,4})(?![\w-]))"
)
_EMBEDDING = re.compile(rf"\(\s*{_EMBEDDING_NAME}(?::[\d.]*)?\s*\)|(?<![\w:-]){_EMBEDDING_NAME}", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]*")
_BLANKS_AND_COMMA = re.compile(rf"[ \t]*[{COMMAS}]?[ \t]*")


def _lora_syntax(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    return _removals(prompt, _LORA, " ")


def _embeddings(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    return _removals(prompt, _EMBEDDING, " ")


def _breaks(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    return _removals(prompt, _BREAK, ", ")


def _removals(prompt: str, unwanted: re.Pattern[str], between: str) -> Iterator[_Edit]:
    """Takes the matches away, with the comma and the blanks that would be left over."""
    last = 0
    after_comma = True
    for match in unwanted.finditer(prompt):
        if match.start() < last:
            continue
        start = match.start()
        while start > last and prompt[start - 1] in " \t":
            start -= 1
        follows_removal = start == last and last > 0
        if not follows_removal:
            after_comma = start == 0 or prompt[start - 1] in COMMAS
        rest = (_BLANKS_AND_COMMA if after_comma else _BLANKS).match(prompt, match.end())
        last = rest.end() if rest else match.end()
        if follows_removal or start == 0:
            replacement = ""
        elif after_comma:
            replacement = " "
        else:
            replacement = "" if last == len(prompt) or prompt[last] in COMMAS + ")" else between
        yield _Edit(start, last, replacement)


# --- Brackets ---

_BRACKET = re.compile(r"(?<!\\)[()]")
_BOORU_NAME = re.compile(r"[^\s()\\,:]_\([^()\\,:]+\)\Z")
_NUMBER_AT_END = re.compile(r":\s*-?(?:\d{1,6}\.?\d{0,6}|\.\d{1,6})\s*\Z")
_MAX_NUMBER_LENGTH = 24
_FACES = frozenset((":)", ":(", ";)", ";(", ":-)", ":-(", ">:)", ">:(", ":'(", "=)", "=(", "(:", "):"))


def _names_in_brackets(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    for span in tag_spans(prompt):
        text = prompt[span.start : span.end]
        brackets = [bracket.start() for bracket in _BRACKET.finditer(text)]
        if not brackets or (not _BOORU_NAME.search(text) and not ("(" in span.name and tags.find(span.name))):
            continue
        for bracket in brackets:
            at = span.start + bracket
            yield _Edit(at, at + 1, "\\" + prompt[at])


def _unbalanced_brackets(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    lonely = _lonely_brackets(prompt)
    if not lonely:
        return
    edits: list[_Edit] = []
    pieces = iter(comma_pieces(prompt))
    start, end = next(pieces)
    for at in lonely:
        while at >= end:
            start, end = next(pieces)
        edits.append(_without_lonely(prompt, at, start, end))
    yield from sorted(edits, key=lambda edit: (edit.start, edit.end))


def _lonely_brackets(prompt: str) -> list[int]:
    open_now: list[int] = []
    surplus: list[int] = []
    for bracket in _BRACKET.finditer(prompt):
        if bracket[0] == "(":
            open_now.append(bracket.start())
        elif open_now:
            open_now.pop()
        else:
            surplus.append(bracket.start())
    return surplus + open_now


def _without_lonely(prompt: str, at: int, start: int, end: int) -> _Edit:
    """Gives the bracket its partner where a weight shows that there was one, else takes it away; a face keeps it."""
    if end - start <= _MAX_NUMBER_LENGTH and prompt[start:end].strip() in _FACES:
        return _Edit(at, at + 1, "\\" + prompt[at])
    if prompt[at] == "(":
        while end > at + 1 and prompt[end - 1].isspace():
            end -= 1
        if _NUMBER_AT_END.search(prompt, max(at + 2, end - _MAX_NUMBER_LENGTH), end):
            return _Edit(end, end, ")")
    elif number := _NUMBER_AT_END.search(prompt, max(start, at - _MAX_NUMBER_LENGTH), at):
        while start < number.start() and (prompt[start].isspace() or prompt[start] in "()"):
            start += 1
        if start < number.start():
            return _Edit(start, start, "(")
    return _Edit(at, at + 1, "")


# --- Tags and artists ---

_WORD = re.compile(r"(?:\\[()]|[^\s,()<>\\])+")
_SCORE_WITH_SPACE = re.compile(r"score (\d+)", re.IGNORECASE)
_SCORE = re.compile(r"score_\d", re.IGNORECASE)
_BY_ARTIST = re.compile(
    r"(?:(?:art |drawn |illustrated |painted )?by|artist:|artist|(?:in the )?style of)\s*@?\s*(\S.*)",
    re.IGNORECASE | re.DOTALL,
)


def _underscores(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    for span in tag_spans(prompt):
        text = prompt[span.start : span.end]
        score = _SCORE_WITH_SPACE.fullmatch(text)
        if score:
            yield _Edit(span.start, span.end, f"score_{score[1]}")
            continue
        for word in _WORD.finditer(prompt, span.start, span.end):
            if _wants_spaces(word[0], tags):
                yield _Edit(word.start(), word.end(), word[0].replace("_", " "))


def _wants_spaces(word: str, tags: TagIndex) -> bool:
    if "_" not in word or word[0] == "_" or word[-1] == "_" or "/" in word:  # __wildcard__ and addresses are not tags
        return False
    if keeps_underscores(word) or _SCORE.match(word):
        return False
    return not word.startswith("@") or _is_artist(tag_name(word[1:]), tags)


def _upper_case(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    for span in tag_spans(prompt):
        text = prompt[span.start : span.end]
        if text != text.lower() and tags.find(span.name.removeprefix("@")):
            yield _Edit(span.start, span.end, text.lower())


def _artists_without_at(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    for span in tag_spans(prompt):
        name = _artist_meant(span, prompt, tags)
        if name:
            yield _Edit(span.start, span.end, "@" + escape_brackets(name))


def _artist_meant(span: TagSpan, prompt: str, tags: TagIndex) -> str | None:
    if len(span.name) >= MIN_ARTIST_LENGTH and _is_artist(span.name, tags):
        return span.name
    by = _BY_ARTIST.fullmatch(prompt, span.start, span.end)
    name = tag_name(by[1]) if by else ""
    return name if _is_artist(name, tags) else None


def _is_artist(name: str, tags: TagIndex) -> bool:
    return tags.category_of(name) is Category.ARTIST


# --- Weights ---


def _weak_weights(prompt: str, tags: TagIndex) -> Iterator[_Edit]:
    if _lonely_brackets(prompt):
        return
    alone = {_stripped(prompt, start, end) for start, end in outer_pieces(prompt)}
    for start, end in _simple_groups(prompt):
        inside = prompt[start + 1 : end - 1]
        text, weight = parse_weights(prompt[start:end])[0]
        if weight == 1 or abs(weight - 1) > WEAKEST_EFFECT + 1e-9 or not text.strip():
            continue
        has_number = len(text) < len(parse_weights(inside)[0][0])
        if has_number:
            inside = inside[: inside.rindex(":")]
        elif (start, end) not in alone:  # brackets in prose
            continue
        yield _Edit(start, end, f"({inside}:{STRONG_WEIGHT if weight > 1 else GENTLE_WEIGHT})")


def _simple_groups(prompt: str) -> Iterator[tuple[int, int]]:
    """Groups that are in no other and have none within."""
    depth = 0
    simple = False
    start = 0
    for bracket in _BRACKET.finditer(prompt):
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


_FIXES: dict[HintCode, Callable[[str, TagIndex], Iterator[_Edit]]] = {
    HintCode.LORA_SYNTAX: _lora_syntax,
    HintCode.EMBEDDING: _embeddings,
    HintCode.BREAK: _breaks,
    HintCode.NAME_IN_BRACKETS: _names_in_brackets,
    HintCode.UNBALANCED_BRACKETS: _unbalanced_brackets,
    HintCode.UNDERSCORES: _underscores,
    HintCode.UPPER_CASE: _upper_case,
    HintCode.ARTIST_WITHOUT_AT: _artists_without_at,
    HintCode.WEAK_WEIGHT: _weak_weights,
}
