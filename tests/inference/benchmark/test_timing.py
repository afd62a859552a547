"""What is compared takes turns, as often as the time allows and at least once."""

import pytest

from inference.benchmark import timing
from inference.benchmark.timing import Repeats, alternate
from tests.inference.benchmark.tiny import CPU


def test_calls_take_turns() -> None:
    order: list[str] = []
    durations = alternate([lambda: order.append("a"), lambda: order.append("b")], Repeats(3), CPU)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [len(each.seconds) for each in durations] == [3, 3]


def test_with_little_time_calls_are_repeated_less_often_and_never_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def lasts_ten_seconds() -> None:
        now[0] += 10

    assert len(alternate([lasts_ten_seconds], Repeats(9, until=135.0), CPU)[0].seconds) == 3
    assert len(alternate([lasts_ten_seconds], Repeats(9, until=0.0), CPU)[0].seconds) == 1
