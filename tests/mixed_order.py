"""The order of tests in several processes: those that mostly wait are spread among those that compute.

Tests of whole programs wait until those have started, for timers, and for the browser. In the order of their folders,
all of pytest's processes would wait at the same time, and one would still wait when the others are done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeVar

TESTS = Path(__file__).parent
WAITING = (
    TESTS / "end_to_end",
    TESTS / "soak",
    TESTS / "inference" / "cluster",
    TESTS / "bot" / "sandbox" / "page",
    TESTS / "test_stuck_tests.py",
)
#: The part of the other modules after which no waiting test begins.
LAST = 0.9


class HasPath(Protocol):
    @property
    def path(self) -> Path: ...


T = TypeVar("T", bound=HasPath)


def mix(items: Sequence[T]) -> list[T]:
    """Put the waiting tests evenly between the other modules, whose tests stay together and share fixtures."""
    return list(_mixed(items))


def _mixed(items: Sequence[T]) -> Iterator[T]:
    waiting = [item for item in items if waits(item.path)]
    others = (item for item in items if not waits(item.path))
    modules = [list(module) for _, module in groupby(others, key=lambda item: item.path)]
    placed = 0
    for number, module in enumerate(modules):
        due = min(1.0, number / (LAST * len(modules))) * len(waiting)
        yield from waiting[placed : round(due)]
        placed = round(due)
        yield from module
    yield from waiting[placed:]


@cache
def waits(path: Path) -> bool:
    return not {path, *path.parents}.isdisjoint(WAITING)
