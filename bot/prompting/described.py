"""Turns a tagger's guesses into a prompt: its likely tags, spelled and ordered as Anima expects.

The thresholds are the usual ones for the WD14 family; names need more, because a wrong name does more harm than a wrong
colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.prompting.prompt_rules import place_in_order
from bot.prompting.syntax import tag_name
from bot.prompting.tags import Category, Tag
from bot.prompting.wildcards import escape_wildcards
from inference.tagging.tag_list import TagGuess, TagKind

#: Maximum characters of a described prompt, so that it fits into a message and a form.
MAX_LENGTH = 2000

#: Danbooru's ratings in Anima's words.
SAFETY = {
    "general": "safe",
    "safe": "safe",
    "sensitive": "sensitive",
    "questionable": "nsfw",
    "explicit": "explicit",
}
#: Categories that are names.
NAMES = (TagKind.CHARACTER, TagKind.COPYRIGHT, TagKind.ARTIST)


@dataclass(frozen=True)
class TagThresholds:
    """Minimum probabilities of tags, 0 to 1. `names`: for characters, series and artists; `general`: for all others."""

    general: float = 0.35
    names: float = 0.85


def likely_tags(guesses: Sequence[TagGuess], thresholds: TagThresholds, *, with_safety: bool) -> list[Tag]:
    """The tags above their thresholds, the most likely first. `with_safety`: in front, the image's safety tag."""
    ratings = [guess for guess in guesses if guess.kind is TagKind.RATING]
    safest = [max(ratings, key=lambda guess: guess.probability)] if ratings and with_safety else []
    believed = [
        guess
        for guess in guesses
        if guess.kind is not TagKind.RATING
        and guess.probability >= (thresholds.names if guess.kind in NAMES else thresholds.general)
    ]
    believed.sort(key=lambda guess: -guess.probability)
    safety = [Tag(_anima_rating(each.name), Category.META, 0) for each in safest]
    by_name: dict[str, Tag] = {}
    for tag in (*safety, *(Tag(tag_name(guess.name), Category(guess.kind.value), 0) for guess in believed)):
        by_name.setdefault(tag.name, tag)
    return list(by_name.values())


def _anima_rating(rating: str) -> str:
    """Converts a rating to Anima's; some lists write it as `rating:safe`."""
    name = tag_name(rating).removeprefix("rating:")
    return SAFETY.get(name, name)


def described_prompt(tags: Iterable[Tag]) -> str:
    """A prompt in Anima's order. `tags`: the most likely first; the last ones are omitted if it gets too long."""
    written: list[tuple[int, str]] = []
    length = 0
    for tag in tags:
        text = in_described_prompt(tag)
        length += len(text) + 2
        if length > MAX_LENGTH:
            break
        written.append((place_in_order(tag.name, tag.category), text))
    return ", ".join(text for _, text in sorted(written, key=lambda each: each[0]))


def in_described_prompt(tag: Tag) -> str:
    """A tag as spelled in prompts: brackets and braces escaped, `@` before artists."""
    return escape_wildcards(tag.in_prompt)
