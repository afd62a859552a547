"""Reads the list beside a tagger's model, which says which tag each output means.

The file is `selected_tags.csv`, as in the WD14 family of taggers: columns tag_id, name, category and count, with one
line for each output, in order.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

TAG_LIST = "selected_tags.csv"
#: Bytes; the largest public lists have a few hundred kilobytes.
MAX_BYTES = 32 << 20


class TaggerError(ValueError):
    """A tagger cannot be used; the message is a sentence that says why, and what to do."""


class TagKind(IntEnum):
    """Danbooru's categories, and 9 for ratings, which only the taggers' lists have."""

    GENERAL = 0
    ARTIST = 1
    COPYRIGHT = 3
    CHARACTER = 4
    META = 5
    RATING = 9


@dataclass(frozen=True)
class ListedTag:
    """`name`: as on Danbooru, with underscores."""

    name: str
    kind: TagKind


@dataclass(frozen=True)
class TagGuess:
    """A tag, with its name as on Danbooru and its probability, 0 to 1."""

    name: str
    kind: TagKind
    probability: float


def read_tag_list(path: Path) -> tuple[ListedTag, ...]:
    """The tags in the order of the model's outputs. Raises TaggerError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TaggerError(f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not a list of tags.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"name", "category"} - set(rows.fieldnames or ())
            if missing:
                raise TaggerError(
                    f"{path} lacks the column {' and '.join(sorted(missing))}: its first line must be "
                    "tag_id,name,category,count."
                )
            tags = tuple(_tag(row, path, rows.line_num) for row in rows)
    except FileNotFoundError:
        raise TaggerError(f"There is no {path}: put the model's tag list there.") from None
    except UnicodeDecodeError:
        raise TaggerError(f"{path} is not a UTF-8 text file: download it again.") from None
    except csv.Error as error:
        raise TaggerError(f"{path} is not a CSV file ({error}): download it again.") from None
    except OSError as error:
        raise TaggerError(f"{path} cannot be read ({error.strerror}): allow this user to read it.") from None
    if not tags:
        raise TaggerError(f"{path} lists no tags: download it again.")
    return tags


def _tag(row: dict[str, str | None], path: Path, line: int) -> ListedTag:
    """Unknown categories count as general."""
    name, category = (row["name"] or "").strip(), (row["category"] or "").strip()
    if not name or not (category.isascii() and category.isdecimal()):
        raise TaggerError(f"{path}, line {line}: a name and a category's number are expected. Download the file again.")
    known = {str(kind.value): kind for kind in TagKind}
    return ListedTag(name, known.get(category, TagKind.GENERAL))
