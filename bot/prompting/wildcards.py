"""Wildcards: `{red|blue} hair` becomes `red hair` or `blue hair`, chosen by the picture's seed.

- Every group is chosen independently, even if two have the same text. Groups can be nested.
- `{2::red|blue}` chooses red twice as often; a weight is a number such as 2 or 0.5, and 1 if none is given.
- An alternative may be empty: `{|smile}`. `{smile}` is `smile`, and `{}` is nothing.
- `\\{`, `\\}` and, within a group, `\\|` are literal. Unmatched braces are literal too.
- `\\n` is a line break, which cannot be typed into a slash command; `\\\\n` is a literal `\\n`.

The choice of the n-th group depends only on the seed and n, not on a library's random generator, so that a stored seed
always gives the same words. No files are read, and the result is never longer than the template: time and size are
linear for any nesting.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate

_TO_ESCAPE = re.compile(r"[{}]|\\n")
_MARK = re.compile(r"\\?[{}|]")
_WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})::")
_ESCAPED_OUTSIDE = re.compile(r"\\(?:([{}])|(\\?n))")
_ESCAPED_INSIDE = re.compile(r"\\(?:([{}|])|(\\?n))")

_Choose = Callable[[int, "_Group"], int]


def expand(template: str, seed: int) -> str:
    """The prompt that the seed chooses. Any text is a valid template.

    >>> expand("{red|blue} hair, {red|blue} hat", seed=5)
    'red hair, blue hat'
    """
    return _evaluate(template, _groups(template), lambda ordinal, group: _drawn(seed, ordinal, group))


def escape_wildcards(text: str) -> str:
    r"""A template that always expands to exactly this text.

    >>> escape_wildcards("{a|b}")
    '\\{a|b\\}'
    """
    return _TO_ESCAPE.sub(r"\\\g<0>", text)


def has_wildcards(template: str) -> bool:
    return bool(_groups(template))


def expansions(template: str, limit: int) -> list[str]:
    """Possible results of the template, for checks: all of them if there are at most `limit`, else `limit` samples.

    Includes alternatives of weight 0. Half of the samples enumerate the choices of the last groups, and the other half
    are the results for the seeds 0, 1, 2 and so on.
    """
    groups = _groups(template)
    found: list[str] = []
    path: list[int] | None = []
    while path is not None and len(found) < limit:
        walk = _Expansion(path)
        found.append(_evaluate(template, groups, walk.choose))
        path = walk.next_path()
    if path is not None:
        half = limit // 2
        found[half:] = [expand(template, seed) for seed in range(limit - half)]
    return found


@dataclass(frozen=True, slots=True)
class _Group:
    """A pair of braces. `bars`: the positions where its alternatives end: each `|` and the closing brace."""

    start: int
    bars: tuple[int, ...]
    weights: tuple[float, ...]
    starts: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.bars[-1] + 1


def _groups(template: str) -> list[_Group]:
    """All groups, in the order of their opening braces."""
    groups: list[_Group] = []
    open_now: list[tuple[int, list[int]]] = []
    for mark in _MARK.finditer(template):
        if mark[0] == "{":
            open_now.append((mark.start(), []))
        elif mark[0] == "|" and open_now:
            open_now[-1][1].append(mark.start())
        elif mark[0] == "}" and open_now:
            start, bars = open_now.pop()
            groups.append(_group(template, start, (*bars, mark.start())))
    return sorted(groups, key=lambda group: group.start)


def _group(template: str, start: int, bars: tuple[int, ...]) -> _Group:
    weights: list[float] = []
    starts: list[int] = []
    for before, bar in zip((start, *bars), bars, strict=False):
        weight = _WEIGHT.match(template, before + 1, bar)
        weights.append(float(weight[1]) if weight else 1.0)
        starts.append(weight.end() if weight else before + 1)
    return _Group(start, bars, tuple(weights), tuple(starts))


def _evaluate(template: str, groups: Sequence[_Group], choose: _Choose) -> str:
    written: list[str] = []

    def write(start: int, end: int, inside: bool) -> None:
        written.append((_ESCAPED_INSIDE if inside else _ESCAPED_OUTSIDE).sub(_meant, template[start:end]))

    ordinal = 0  # of the next group; also counts the groups in alternatives that are not chosen
    pending = [(0, len(template), False)]  # a stack of ranges still to be read
    while pending:
        start, end, inside = pending.pop()
        while ordinal < len(groups) and groups[ordinal].start < start:
            ordinal += 1
        if ordinal == len(groups) or groups[ordinal].start >= end:
            write(start, end, inside)
            continue
        group = groups[ordinal]
        write(start, group.start, inside)
        pending.append((group.end, end, inside))
        choice = choose(ordinal, group)
        pending.append((group.starts[choice], group.bars[choice], True))
        ordinal += 1
    return "".join(written)


def _meant(escaped: re.Match[str]) -> str:
    return escaped[1] or ("\n" if escaped[2] == "n" else escaped[2])


def _drawn(seed: int, ordinal: int, group: _Group) -> int:
    weights = group.weights if any(group.weights) else [1.0] * len(group.weights)
    bounds = list(accumulate(weights))
    digest = blake2b(f"{seed}/{ordinal}".encode(), digest_size=6).digest()
    fraction = int.from_bytes(digest, "big") / 2**48  # exact, and below 1
    return bisect_right(bounds, fraction * bounds[-1])


@dataclass
class _Expansion:
    """Follows a path of choices, then chooses the first; records the number of choices, to find the next path."""

    path: list[int]
    forks: list[int] = field(default_factory=list)

    def choose(self, ordinal: int, group: _Group) -> int:
        self.forks.append(len(group.bars))
        return self.path[len(self.forks) - 1] if len(self.forks) <= len(self.path) else 0

    def next_path(self) -> list[int] | None:
        """The next path; None after the last one."""
        path = self.path + [0] * (len(self.forks) - len(self.path))
        while path and path[-1] == self.forks[len(path) - 1] - 1:
            path.pop()
        return [*path[:-1], path[-1] + 1] if path else None
