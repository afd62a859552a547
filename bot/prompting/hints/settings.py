"""Settings typed into the prompt: Midjourney's flags, `seed: 5`, a size between commas, text copied from A1111.

Anima reads them as words. Settings that have an option are moved there; all others are removed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest

from bot.prompting.hints.edits import TextEdit, UnwantedText, removed
from bot.prompting.syntax import BLANKS_AND_COMMAS, comma_pieces
from bot.prompting.tags import TagIndex
from inference.request import MAX_CFG_SCALE, MAX_SEED, MAX_STEPS

#: Phones turn two hyphens into a dash.
_FLAG = re.compile(r"(?<![\w-])(?:--([A-Za-z]{1,10})|[\u2013\u2014]([A-Za-z]{2,10}))(?![A-Za-z0-9])")
_ASPECT = re.compile(r"[\s=]{1,3}(\d{1,4})\s?[:x/]\s?(\d{1,4})(?!\d)")
_INTEGER = re.compile(r"[\s=]{1,3}(-?\d{1,20})(?![\d.])")
_NUMBER = re.compile(r"(?:[\s=]{1,3}-?\d{1,8}(?:\.\d{1,4})?(?![\w.]))?")
_WORD = re.compile(r"(?:[\s=]{1,3}(?!--)[^\s,]{1,300})?")
_NOTHING = re.compile(r"")
_NEGATIVE_FLAGS = frozenset(("no", "neg", "negative"))
#: The option for each flag, and the pattern of its value.
_MOVED_FLAGS = {
    **dict.fromkeys(("ar", "aspect"), ("aspect", _ASPECT)),
    "seed": ("seed", _INTEGER),
    "steps": ("steps", _INTEGER),
    "cfg": ("cfg", re.compile(r"[\s=]{1,3}(\d{1,3}(?:\.\d{1,3})?)(?![\d.])")),
}
#: Flags without an option here, by kind of value: a number, a word, none.
_NUMBERED_FLAGS = re.compile(r"v|version|niji|s|stylize|c|chaos|q|quality|w|weird|iw|stop|r|repeat|sw|cw|ow|exp")
_WORDED_FLAGS = re.compile(r"style|sref|cref|oref|p|profile")
_BARE_FLAGS = re.compile(r"tile|fast|relax|turbo|hd|test|testp|draft|raw|video|public|stealth")

_NAMED = re.compile(
    r"(?<![\w(-])(?:(seed)|(steps)|(cfg(?:[ _]scale)?)|(size|aspect(?:[ _]ratio)?|ar))\s{0,3}[:=]\s{0,3}"
    r"(-?\d{1,20}(?:\.\d{1,4})?(?:\s?[x\u00d7:]\s?\d{1,4})?)(?![\w.:])(?!\s{0,3}\))",
    re.IGNORECASE,
)
_COPIED_NEGATIVE = re.compile(r"(?<!\w)Negative prompt:\s?", re.IGNORECASE)
_COPIED_SETTINGS = re.compile(r"\bSteps:|\n")
_COPIED_REST = re.compile(
    r"(?<!\w)(?:Sampler|Schedule type|Model hash|Model|Clip skip|Version|Denoising strength): [^,\n]{1,60}"
)
_RATIO = re.compile(r"([1-9]\d{0,3}):([1-9]\d{0,3})")
_SIZE = re.compile(r"\s*(\d{3,4})\s?[x\u00d7*]\s?(\d{3,4})\s*")
#: Numbers that count as a size, the side of a square.
_SIDES = frozenset(("512", "640", "768", "832", "896", "1024", "1152", "1216", "1280", "1344", "1536", "2048"))
_ASPECT_VALUE = re.compile(r"[1-9][\d.]{0,4}:[1-9][\d.]{0,4}|[1-9]\d{1,3}x[1-9]\d{1,3}")
_PLAUSIBLE: dict[str, Callable[[str], bool]] = {
    "aspect": lambda value: _ASPECT_VALUE.fullmatch(value) is not None,
    "seed": lambda value: value.isdigit() and int(value) <= MAX_SEED,
    "steps": lambda value: value.isdigit() and 1 <= int(value) <= MAX_STEPS,
    "cfg": lambda value: 1 <= float(value) <= MAX_CFG_SCALE,
}


def flags(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    """Finds `--ar 2:3 --no hat --seed 5 --v 6`, anywhere in the prompt."""
    return _without_loose_end(prompt, removed(prompt, _flags(prompt), " "))


def _flags(prompt: str) -> Iterator[UnwantedText]:
    marks = [mark for mark in _FLAG.finditer(prompt) if _is_known(_flag_name(mark))]
    for mark, following in zip_longest(marks, marks[1:]):
        name = _flag_name(mark)
        if name in _NEGATIVE_FLAGS:
            end = len(prompt) if following is None else following.start()
            unwanted = prompt[mark.end() : end].strip(" \t\n,=")
            yield UnwantedText(mark.start(), end, ("negative", unwanted) if unwanted else None)
        elif name in _MOVED_FLAGS:
            option, value_of = _MOVED_FLAGS[name]
            value = value_of.match(prompt, mark.end())
            moved = None if value is None else _moved(option, ":".join(value.groups()))
            yield UnwantedText(mark.start(), mark.end() if value is None else value.end(), moved)
        else:
            value = _value_of_dropped(name).match(prompt, mark.end())
            yield UnwantedText(mark.start(), mark.end() if value is None else value.end())


def _is_known(flag: str) -> bool:
    dropped = (_NUMBERED_FLAGS, _WORDED_FLAGS, _BARE_FLAGS)
    return flag in _NEGATIVE_FLAGS or flag in _MOVED_FLAGS or any(kind.fullmatch(flag) for kind in dropped)


def _value_of_dropped(flag: str) -> re.Pattern[str]:
    if _NUMBERED_FLAGS.fullmatch(flag):
        return _NUMBER
    return _WORD if _WORDED_FLAGS.fullmatch(flag) else _NOTHING


def _flag_name(mark: re.Match[str]) -> str:
    return (mark[1] or mark[2]).lower()


def named_settings(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    """Finds `seed:-1`, `steps: 30`, `1024x1024`, and the settings that A1111 copies along with a prompt."""
    found = sorted((*_copied(prompt), *_named(prompt), *_sizes(prompt)), key=lambda each: (each.start, -each.end))
    return _without_loose_end(prompt, removed(prompt, found, " "))


def _named(prompt: str) -> Iterator[UnwantedText]:
    for match in _NAMED.finditer(prompt):
        option = next(
            name for name, group in zip(("seed", "steps", "cfg", "aspect"), match.groups(), strict=False) if group
        )
        value = re.sub(r"\s", "", match[5]).replace("\u00d7", "x")
        if option == "aspect" and re.fullmatch(r"\d{3,4}", value):
            value = f"{value}x{value}"
        if (moved := _moved(option, value)) is not None or option == "seed":
            yield UnwantedText(match.start(), match.end(), moved)


def _copied(prompt: str) -> Iterator[UnwantedText]:
    negative = _COPIED_NEGATIVE.search(prompt)
    if negative is not None:
        settings = _COPIED_SETTINGS.search(prompt, negative.end())
        end = len(prompt) if settings is None else settings.start()
        unwanted = prompt[negative.end() : end].strip(" \t\n,")
        yield UnwantedText(negative.start(), end, ("negative", unwanted) if unwanted else None)
    for rest in _COPIED_REST.finditer(prompt):
        yield UnwantedText(rest.start(), rest.end())


def _sizes(prompt: str) -> Iterator[UnwantedText]:
    for start, end in comma_pieces(prompt):
        piece = prompt[start : min(end, start + 40)].strip() if end - start <= 40 else ""
        size = _SIZE.fullmatch(piece)
        if size is not None or piece in _SIDES:
            width, height = size.groups() if size is not None else (piece, piece)
            yield UnwantedText(start, end, _moved("aspect", f"{width}x{height}"))


def _without_loose_end(prompt: str, edits: Iterable[TextEdit]) -> Iterator[TextEdit]:
    """Removes a comma left at the end."""
    found = list(edits)
    end = len(prompt)
    for at in range(len(found) - 1, -1, -1):
        if found[at].end != end:
            break
        earliest = found[at - 1].end if at else 0
        end = max(earliest, len(prompt[: found[at].start].rstrip(BLANKS_AND_COMMAS)))
        found[at] = replace(found[at], start=end, replacement="")
    return iter(found)


def _moved(option: str, value: str) -> tuple[str, str] | None:
    """An option and its value; None if the option does not accept the value."""
    if option == "aspect" and (ratio := _RATIO.fullmatch(value)) is not None:
        value = _short_ratio(int(ratio[1]), int(ratio[2]))
    return (option, value) if _PLAUSIBLE[option](value) else None


def _short_ratio(width: int, height: int) -> str:
    """The ratio with at most two digits before the point, as the option requires: 1920:1080 becomes 16:9."""
    divisor = math.gcd(width, height)
    width, height = width // divisor, height // divisor
    if max(width, height) < 100:
        return f"{width}:{height}"
    return f"{width / height:.2f}:1" if width > height else f"1:{height / width:.2f}"
