"""What is compared takes turns."""

from inference.benchmark.timing import alternate
from tests.inference.benchmark.tiny import CPU


def test_calls_take_turns() -> None:
    order: list[str] = []
    durations = alternate([lambda: order.append("a"), lambda: order.append("b")], 3, CPU)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [len(each.seconds) for each in durations] == [3, 3]
