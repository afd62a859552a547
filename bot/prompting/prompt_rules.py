"""The server's prompt rules: what is added to a user's prompt, and where.

Anima reads tags in the order quality, meta, year, safety; 1girl, 1boy …; character; series; artist; everything else.
The user's text is never reordered, because it may be sentences. The rules add text at its place in that order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.prompting.syntax import (
    BLANKS_AND_COMMAS,
    TagSpan,
    comma_pieces,
    escape_brackets,
    outer_pieces,
    tag_name,
    tag_spans,
)
from bot.prompting.tags import Category
from inference.weights.modelspec import ANIMA

#: The base model's; other variants' are in their `NativeSettings`.
RECOMMENDED_PREFIX = ANIMA.prefix
RECOMMENDED_NEGATIVE = ANIMA.negative

_QUALITY = re.compile(r"masterpiece|(?:best|good|normal|low|worst) quality")
_SCORE = re.compile(r"score_\d+")
_YEAR = re.compile(r"year \d{4}|newest|recent|mid|early|old")
_SAFETY = re.compile(r"(?:rating[: ] ?)?(?:safe|general|sensitive|questionable|nsfw|explicit)")
_META = re.compile(r"highres|absurdres|incredibly absurdres|official art")
_COUNT = re.compile(r"\d{1,2}\+?(?:girl|boy|other)s?|multiple (?:girls|boys|others)|no humans")
#: For each of these kinds, a user's own tags replace the prefix's, even if they differ.
_GIVEN_ONCE = (_QUALITY, _SCORE, _YEAR, _SAFETY)

#: The start of captions in the non-anime training data: the data set's name, and maybe the image's title.
_DATASET = re.compile(r"\A[\s,]*((?:ye-pop|deviantart)[^\S\n]*\n(?:[^\n]+\n)?)", re.IGNORECASE)

_SAFE = re.compile(r"(?:rating[: ] ?)?(?:safe|general)")

CategoryOf = Callable[[str], Category | None]


@dataclass(frozen=True)
class FinalPrompts:
    """The prompts that the engine gets."""

    positive: str
    negative: str


def final_prompts(
    prompt: str,
    negative: str = "",
    *,
    artist: str = "",
    prefix: str = RECOMMENDED_PREFIX,
    negative_prefix: str = RECOMMENDED_NEGATIVE,
    age_restricted: bool,
    category_of: CategoryOf = lambda name: None,
) -> FinalPrompts:
    """Adds the prefixes and the artists, and forces the safety tag of a channel that is not age-restricted.

    prompt, negative: the user's text, after wildcards are expanded.
    artist: one or more names separated by commas, with or without `@`.
    prefix, negative_prefix: the server's or the user's; empty if they are switched off.
    age_restricted: whether the channel is. If not, the prompt gets `safe` at full weight and the negative gets `nsfw`
        and `explicit`; other safety tags are replaced by these, whatever the prefixes say.
    category_of: the category of a tag, to find characters, series and meta; `TagIndex.category_of`.

    A tag that is already there is not added again, and the prefix's quality, score, year or safety tags are omitted if
    the prompt has any of that kind. No tag of the prompt is added to the negative. The function is idempotent. A
    dataset tag (`ye-pop`, `deviantart`) in a line of its own remains first, with a title in the line after it.
    """
    prompt, dataset = _without_dataset(prompt)
    prompt = _with_artists(prompt.strip(BLANKS_AND_COMMAS), artist, category_of)
    negative = negative.strip(BLANKS_AND_COMMAS)
    if not age_restricted:
        dataset, prompt, prefix = (_replaced(text, _is_unsafe, "safe") for text in (dataset, prompt, prefix))
        negative = _replaced(negative, lambda name: bool(_SAFE.fullmatch(name)), "nsfw")
        negative_prefix = _replaced(negative_prefix, lambda name: bool(_SAFE.fullmatch(name)), "nsfw")

    wanted = _names(prompt)
    added = _pieces_not_given(prefix, wanted, _GIVEN_ONCE)
    added_to_negative = _pieces_not_given(negative_prefix, wanted | _names(negative), ())
    if not age_restricted:  # in front, where an unclosed bracket cannot include them
        added = _missing(["safe"], [*added, prompt]) + added
        added_to_negative = _missing(["nsfw", "explicit"], [*added_to_negative, negative]) + added_to_negative
    return FinalPrompts(dataset + _joined(*added, prompt), _joined(*added_to_negative, negative))


def _without_dataset(prompt: str) -> tuple[str, str]:
    """The prompt without the dataset lines, which must remain first; and these lines."""
    lines = _DATASET.match(prompt)
    return (prompt, "") if lines is None else (prompt[lines.end() :], lines[1].lstrip(" ,"))


def without_prefix(final: str, typed: str) -> str:
    """Removes the added prefix from a final prompt.

    typed: the prompt it was made from, with wildcards expanded. Artists and everything after them are kept.
    """
    given = _names(typed)
    for start, end in outer_pieces(final):
        names = _names(final[start:end])
        if names & given or any(name.startswith("@") for name in names):
            return final[start:].strip(BLANKS_AND_COMMAS)
    return final


def artist_tags(artist: str) -> list[str]:
    """The names as Anima expects them: `@` in front, lower case, spaces, brackets escaped.

    >>> artist_tags("nnn_yryr, @Ask (Askzy)")
    ['@nnn yryr', '@ask \\\\(askzy\\\\)']
    """
    names = (tag_name(artist[start:end]).lstrip("@ ") for start, end in comma_pieces(artist))
    return ["@" + escape_brackets(name) for name in dict.fromkeys(names) if name]


def _is_unsafe(name: str) -> bool:
    return bool(_SAFETY.fullmatch(name)) and not _SAFE.fullmatch(name)


def _with_artists(prompt: str, artist: str, category_of: CategoryOf) -> str:
    given = _names(prompt)
    tags = [tag for tag in artist_tags(artist) if tag_name(tag) not in given]
    if not tags:
        return prompt
    place = _place_of_artists(prompt, category_of)
    return _joined(prompt[:place], *tags, prompt[place:].lstrip(BLANKS_AND_COMMAS))


def _place_of_artists(prompt: str, category_of: CategoryOf) -> int:
    """After the last character or series, else after the leading tags that come before artists in Anima's order."""
    spans = tag_spans(prompt)
    last = None
    leading = True
    for span in spans:
        leads = _leads(span.name, category_of)
        leading = leading and leads
        if leading or (leads and category_of(span.name) in (Category.CHARACTER, Category.COPYRIGHT)):
            last = span
    return _end_of_outer_piece(prompt, last) if last else 0


def place_in_order(name: str, category: Category | None) -> int:
    """A tag's place in Anima's order; lower ones come first.

    0: quality, meta, year and safety; 1: number of people; 2: characters; 3: series; 4: artists; 5: everything else.
    """
    if category is Category.META or any(kind.fullmatch(name) for kind in (*_GIVEN_ONCE, _META)):
        return 0
    if _COUNT.fullmatch(name):
        return 1
    kinds = (Category.CHARACTER, Category.COPYRIGHT, Category.ARTIST)
    return 2 + kinds.index(category) if category in kinds else 2 + len(kinds)


def _leads(name: str, category_of: CategoryOf) -> bool:
    if any(kind.fullmatch(name) for kind in (*_GIVEN_ONCE, _META, _COUNT)):
        return True
    return category_of(name) in (Category.META, Category.CHARACTER, Category.COPYRIGHT)


def _end_of_outer_piece(prompt: str, span: TagSpan) -> int:
    return next(end for _, end in outer_pieces(prompt) if end >= span.end)


def _pieces_not_given(text: str, given: set[str], given_once: Sequence[re.Pattern[str]]) -> list[str]:
    settled = [kind for kind in given_once if any(kind.fullmatch(name) for name in given)]
    pieces = dict.fromkeys(text[start:end].strip(BLANKS_AND_COMMAS) for start, end in outer_pieces(text))
    return [
        piece
        for piece in pieces
        if any(name not in given and not any(kind.fullmatch(name) for kind in settled) for name in _names(piece))
    ]


def _missing(tags: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The tags that the prompt does not have at full weight. `(safe:0.1)` does not count."""
    text = _joined(*texts)
    alone = {text[start:end].strip() for start, end in outer_pieces(text)}
    return [tag for tag in tags if tag not in alone]


def _replaced(prompt: str, is_meant: Callable[[str], bool], replacement: str) -> str:
    written: list[str] = []
    end = 0
    for span in tag_spans(prompt):
        if is_meant(span.name):
            written += [prompt[end : span.start], replacement]
            end = span.end
    return "".join([*written, prompt[end:]])


def _names(prompt: str) -> set[str]:
    return {span.name for span in tag_spans(prompt)}


def _joined(*pieces: str) -> str:
    return ", ".join(piece for piece in pieces if piece.strip())
