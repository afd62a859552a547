"""The tag list: read from a CSV file, and used to complete tags while a user types.

The file has one tag per line, in the format of a1111-sd-webui-tagcomplete: name, category, count, aliases.

    long_hair,0,4350743,"/lh,longhair"

Categories are Danbooru's. Encoding is UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from heapq import merge
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import NamedTuple

from bot.prompting.syntax import COMMAS, escape_brackets, tag_name, tag_spans

#: A small list that comes with the bot.
OWN_TAGS = Path(__file__).parent.parent / "tags.csv"

#: Maximum characters of one of Discord's autocomplete choices.
MAX_CHOICE_LENGTH = 100

MAX_BYTES = 64 * 2**20
MAX_TAGS = 500_000
MAX_LINE_LENGTH = 10_000
MAX_NAME_LENGTH = 200
MAX_ALIASES = 100
MAX_PROBLEMS = 10

_BEFORE_TAG = COMMAS + "{|"
#: Precede names and aliases in the searched text; words follow a space.
_NAME, _ALIAS = "\n", "\0"

_BEGINNING = re.compile(f"[{_NAME}{_ALIAS} ]")
#: Beginnings are sorted by this many characters.
INDEX_LENGTH = 24
#: Beginnings more frequent than this are found faster by searching the text.
MAX_SCANNED = 300

_PLAIN_LINE = re.compile(
    r'([^\W_]{2}[^\s\\",]*),(\d{1,9}),(\d{1,15})(?:,"?((?:[^\W_]{2}[^\s\\",]*(?:,[^\W_]{2}[^\s\\",]*)*)?)"?)?', re.ASCII
)
_NOT_PLAIN = re.compile(r"[A-Z]|score_|_(?:[_,\"]|\Z)")


class Category(IntEnum):
    """Danbooru's numbers."""

    GENERAL = 0
    ARTIST = 1
    COPYRIGHT = 3
    CHARACTER = 4
    META = 5


_CATEGORIES = {str(category.value): category for category in Category}


class Tag(NamedTuple):
    """`name` is written with spaces, see `tag_name`; `posts` is its number of posts on Danbooru."""

    name: str
    category: Category
    posts: int
    aliases: tuple[str, ...] = ()

    @property
    def in_prompt(self) -> str:
        """The tag as spelled in prompts."""
        return ("@" if self.category is Category.ARTIST else "") + escape_brackets(self.name)


@dataclass(frozen=True)
class Completion:
    """`prompt` is the whole typed text with the last words replaced by the tag: both name and value of a choice.

    They are equal because Discord puts a choice's name into the field, where the user continues to type.
    """

    prompt: str
    tag: Tag


class TagFileError(Exception):
    """A tag file cannot be used; the message is a sentence that names the file, and the line if there is one."""


class TagIndex:
    """Finds and completes tags, in less than a millisecond with 150,000 tags. Only `load` raises errors."""

    def __init__(self, tags: Iterable[Tag], problems: Iterable[str] = ()) -> None:
        """Of tags with the same name, keeps the most frequent. `problems`: sentences about lines that were left out."""
        ranked = sorted(tags, key=lambda tag: -tag.posts)
        self._by_name: dict[str, Tag] = {tag.name: tag for tag in reversed(ranked)}
        self._all = _Ranking([tag for tag in ranked if self._by_name[tag.name] is tag])
        self._artists = _Ranking([tag for tag in self._all.tags if tag.category is Category.ARTIST])
        self._all_but_artists = [tag for tag in self._all.tags if tag.category is not Category.ARTIST]
        #: Only non-ASCII aliases, which are names in other languages.
        self._by_alias: dict[str, Tag] = {
            alias: tag for tag in reversed(self._all.tags) for alias in tag.aliases if not alias.isascii()
        }
        self.problems = tuple(problems)

    @classmethod
    def load(cls, path: Path = OWN_TAGS) -> TagIndex:
        """Reads a file of at most 64 MiB and 500,000 tags. Broken lines are left out and reported in `problems`.

        Raises TagFileError if no tag can be read: no file, too large, not UTF-8, or no valid line.
        """
        problems = _Problems(path)
        tags = list(islice(_tags(path, problems), MAX_TAGS))
        if not tags:
            first = problems.sentences()[:1] or [f"{path}: this file contains no tags."]
            raise TagFileError(f"{first[0]} {_EXPECTED}")
        return cls(tags, problems.sentences())

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Tag | None:
        """The tag with this name, in any spelling that `tag_name` normalizes."""
        return self._by_name.get(tag_name(name))

    def find_alias(self, text: str) -> Tag | None:
        """The most frequent tag that has this name in another language."""
        return self._by_alias.get(tag_name(text))

    def category_of(self, name: str) -> Category | None:
        tag = self.find(name)
        return tag.category if tag else None

    def complete(self, text: str, limit: int = 25, *, besides: str = "") -> list[Completion]:
        """Completions for the end of `text`: tags that are neither in it nor in `besides`, another prompt.

        The tag with exactly this name is first, then those whose name or alias starts with it, then those with a later
        word that does; the most frequent first. After a comma: the most frequent tags; after `@`: artists.

        Omits completions that are too long for a choice: it replaces the whole typed text, so shortening it would
        delete the user's words. There are none if more than 100 characters are typed.
        """
        start = max(text.rfind(comma) for comma in _BEFORE_TAG) + 1
        start += len(text[start:]) - len(text[start:].lstrip(" ("))
        return self._completions(text, start, limit, artists=False, besides=besides)

    def complete_artists(self, text: str, limit: int = 25) -> list[Completion]:
        """The same for an option that accepts only artists, with or without `@`."""
        start = max(text.rfind(comma) for comma in COMMAS) + 1
        start += len(text[start:]) - len(text[start:].lstrip())
        return self._completions(text, start, limit, artists=True)

    def _completions(self, text: str, start: int, limit: int, *, artists: bool, besides: str = "") -> list[Completion]:
        if len(text) > MAX_CHOICE_LENGTH:
            return []
        head = text[:start]
        if head and head[-1] in COMMAS:
            head += " "
        query = tag_name(text[start:])
        given = {span.name.lstrip("@") for text_ in (head, besides) for span in tag_spans(text_)}
        found: list[Completion] = []
        for tag in self._matches(query, limit + len(given), artists=artists):
            prompt = head + tag.in_prompt
            if tag.name not in given and len(prompt) <= MAX_CHOICE_LENGTH:
                found.append(Completion(prompt, tag))
            if len(found) >= limit:
                break
        return found[:limit]

    def _matches(self, query: str, limit: int, *, artists: bool) -> Iterator[Tag]:
        if not query or query == "@":
            return iter(self._artists.tags if artists or query else self._all_but_artists)
        exact = filter(None, [self._by_name.get(query)])
        if query.startswith("@"):  # an artist, or a face such as @_@
            return chain(self._artists.matching(query[1:].strip(), limit), exact)
        if artists:
            return iter(self._artists.matching(query, limit))
        return iter(dict.fromkeys(chain(exact, self._all.matching(query, limit))))


class _Ranking:
    """Tags as one long text, the most frequent first, so that a search finds these first.

    Rare beginnings are looked up in a sorted index, because a search for them would read to the end of the text.
    """

    def __init__(self, tags: list[Tag]) -> None:
        self.tags = tags
        lines = [_NAME + _ALIAS.join((tag.name, *tag.aliases)).replace("(", " ") for tag in tags]
        self._text = text = "".join(lines)
        self._starts = list(accumulate(map(len, lines), initial=0))
        beginnings = (match.start() for match in _BEGINNING.finditer(text))
        #: Positions of names, aliases and words in the text, sorted by their first INDEX_LENGTH characters.
        self._index = array("I", sorted(beginnings, key=lambda at: text[at : at + INDEX_LENGTH]))

    def matching(self, query: str, limit: int) -> list[Tag]:
        """Tags with `query` at the start of their name or an alias, then of a later word; at most `limit` of each."""
        query = query.replace("(", " ")  # text in brackets is a word like any other
        beginning = merge(self._rows(_NAME + query, limit), self._rows(_ALIAS + query, limit))
        inside = self._rows(" " + query, limit)
        return [self.tags[row] for row in dict.fromkeys((*beginning, *inside))]

    def _rows(self, needle: str, limit: int) -> list[int]:
        """The first `limit` rows whose names, aliases or words start with `needle`."""
        first = bisect_left(self._index, needle[:INDEX_LENGTH], key=lambda at: self._beginning(at, needle))
        if (
            first + MAX_SCANNED < len(self._index)
            and self._beginning(self._index[first + MAX_SCANNED], needle) == needle[:INDEX_LENGTH]
        ):
            return self._rows_searched(needle, limit)
        last = bisect_right(self._index, needle[:INDEX_LENGTH], first, key=lambda at: self._beginning(at, needle))
        places = sorted(self._index[first:last])
        if len(needle) > INDEX_LENGTH:
            places = [at for at in places if self._text.startswith(needle, at)]
        rows: list[int] = []
        for at in places:
            if len(rows) == limit:
                break
            if not rows or at >= self._starts[rows[-1] + 1]:  # else it is in the row found last
                rows.append(bisect_right(self._starts, at) - 1)
        return rows

    def _beginning(self, at: int, needle: str) -> str:
        return self._text[at : at + min(len(needle), INDEX_LENGTH)]

    def _rows_searched(self, needle: str, limit: int) -> list[int]:
        rows: list[int] = []
        at = self._text.find(needle)
        while at != -1 and len(rows) < limit:
            row = bisect_right(self._starts, at) - 1
            rows.append(row)
            at = self._text.find(needle, self._starts[row + 1])
        return rows


_EXPECTED = 'Its lines look like this: long_hair,0,4350743,"lh,longhair"'


class _Problems:
    """The first few lines that were left out, and the number of others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sentences: list[str] = []
        self._count = 0

    def add(self, line: int, what: str) -> None:
        self._count += 1
        if self._count <= MAX_PROBLEMS:
            self._sentences.append(f"{self._path}, line {line}: {what}, so the line is left out.")

    def sentences(self) -> list[str]:
        if self._count <= MAX_PROBLEMS:
            return self._sentences
        return [*self._sentences, f"{self._path}: {self._count - MAX_PROBLEMS:,} more lines are left out."]


def _tags(path: Path, problems: _Problems) -> Iterator[Tag]:
    for number, line in enumerate(_lines(path), start=1):
        line = line.strip()
        if not line:
            continue
        if len(line) > MAX_LINE_LENGTH:
            problems.add(number, f"it has {len(line):,} characters, and the limit is {MAX_LINE_LENGTH:,}")
        elif "\ufffd" in line:
            problems.add(number, "it is not UTF-8")
        else:
            found = _tag(line)
            if isinstance(found, Tag):
                yield found
            elif number > 1 or not line.lower().startswith(("name,", "tag,")):
                problems.add(number, found)


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TagFileError(f"{path}: the tags cannot be read ({error.strerror or error}).") from error
    if len(content) > MAX_BYTES:
        raise TagFileError(f"{path}: the file is larger than {MAX_BYTES // 2**20} MiB, the limit for a list of tags.")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TagFileError(f"{path}, line 1: the file is in UTF-16; save it as UTF-8.")
    return content.decode("utf-8-sig", errors="replace").split("\n")


def _tag(line: str) -> Tag | str:
    """The tag of a line, or what is wrong with it."""
    plain = _PLAIN_LINE.fullmatch(line)
    if plain and len(line) <= MAX_NAME_LENGTH and not _NOT_PLAIN.search(line):  # a fast path for nearly all lines
        name, category, count, aliases = plain.groups("")
        written_so = tuple(aliases.replace("_", " ").split(",", MAX_ALIASES)[:MAX_ALIASES]) if aliases else ()
        return Tag(name.replace("_", " "), _CATEGORIES.get(category, Category.GENERAL), int(count), written_so)
    return _tag_of_fields(_fields(line))


def _tag_of_fields(fields: list[str]) -> Tag | str:
    if len(fields) < 3:
        return "name, category and count are expected"
    name, category, count = tag_name(fields[0]), fields[1].strip(), fields[2].strip()
    if not name or len(name) > MAX_NAME_LENGTH:
        return f"the name has {len(name)} characters, but may have 1 to {MAX_NAME_LENGTH}"
    if not (category.isascii() and category.isdigit()):
        return f"the category is {category[:20]!r}, but must be a number"
    if not (count.isascii() and count.isdigit() and len(count) < 16):
        return f"the count is {count[:20]!r}, but must be a number"
    aliases = (tag_name(alias.strip().removeprefix("/")) for alias in fields[3].split(",", MAX_ALIASES)[:MAX_ALIASES])
    return Tag(name, _CATEGORIES.get(category, Category.GENERAL), int(count), tuple(filter(None, aliases)))


def _fields(line: str) -> list[str]:
    """The line's fields: four of them, or fewer if it is invalid."""
    if line.startswith('"') or '""' in line:
        try:
            fields = next(csv.reader([line]))
        except csv.Error:
            return []
    else:
        fields = line.split(",", 3)
        fields[3:] = [field.strip('" ') for field in fields[3:]]
    return [*fields, ""] if len(fields) == 3 else fields
