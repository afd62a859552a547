"""Minutes are shared among the parts of a run."""

import math

import pytest

from inference.benchmark.everything import budget
from inference.benchmark.everything.budget import TimeBudget


def test_each_part_gets_an_equal_share_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    minutes = TimeBudget(400, parts=4, max_repeats=9)
    assert minutes.next_part().until == 100
    now[0] = 40.0  # the first was quick, so there is more for the others
    assert minutes.next_part().until == 40 + 360 / 3
    now[0] = 500.0  # too late: once each, all the same
    late = minutes.next_part()
    assert late.another(0, 10) and not late.another(1, 10)


def test_without_a_limit_everything_is_repeated_as_often_as_wished() -> None:
    repeats = TimeBudget.unlimited(3).next_part()
    assert [repeats.another(done, 1e6) for done in range(4)] == [True, True, True, False]
    assert repeats.until == math.inf
