"""Waiting tests are spread among the others."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.mixed_order import LAST, TESTS, WAITING, mix, waits

COMPUTING = [TESTS / "bot" / f"test_{number}.py" for number in range(100)]


@dataclass(frozen=True)
class Item:
    path: Path
    number: int


def items_of(paths: list[Path], each: int) -> list[Item]:
    return [Item(path, number) for path in paths for number in range(each)]


WALKS = items_of([WAITING[0] / "test_walks.py"], 60)


def test_what_waits_exists() -> None:
    assert all(path.exists() for path in WAITING)


def test_no_test_is_lost_and_each_kind_keeps_its_order() -> None:
    others = items_of(COMPUTING, 3)
    mixed = mix([*others, *WALKS])
    assert [item for item in mixed if waits(item.path)] == WALKS
    assert [item for item in mixed if not waits(item.path)] == others


def test_modules_stay_together() -> None:
    mixed = mix([*WALKS, *items_of(COMPUTING, 3)])
    runs = [path for path, _ in groupby(item.path for item in mixed if not waits(item.path))]
    together = [path for path, _ in groupby(item.path for item in mixed)]
    assert all(together.count(path) == 1 for path in runs)


def test_waiting_tests_are_spread_evenly_and_none_begins_at_the_end() -> None:
    mixed = mix([*items_of(COMPUTING, 1), *WALKS])
    longest = max(len(list(run)) for waiting, run in groupby(mixed, key=lambda item: waits(item.path)) if waiting)
    assert longest == 1
    last = max(index for index, item in enumerate(mixed) if waits(item.path))
    assert sum(not waits(item.path) for item in mixed[last:]) >= (1 - LAST) * len(COMPUTING) - 1


@pytest.mark.parametrize("items", [WALKS, items_of(COMPUTING, 1), []])
def test_one_kind_alone_stays_as_it_is(items: list[Item]) -> None:
    assert mix(items) == items
