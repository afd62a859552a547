"""How fast an engine draws, estimated from its batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.jobs.throughput import Pace

rates = st.floats(0.01, 100.0)
sizes = st.floats(0.1, 20.0)


def a_pace(batches: list[tuple[float, float]]) -> Pace:
    pace = Pace()
    for credits, seconds_per_credit in batches:
        pace.learn(credits, credits * seconds_per_credit)
    return pace


def test_nothing_is_known_before_the_first_batch() -> None:
    assert Pace().estimate(3.0) is None
    assert Pace().estimate(1.0) is None


@given(rates, st.lists(sizes, min_size=1, max_size=100))
def test_a_steady_machine_is_known_exactly(rate: float, batches: list[float]) -> None:
    assert a_pace([(credits, rate) for credits in batches]).estimate(5.0) == pytest.approx(5.0 * rate)


@given(st.lists(st.tuples(sizes, rates), min_size=1, max_size=100))
def test_the_rate_lies_between_the_slowest_and_the_fastest_seen(batches: list[tuple[float, float]]) -> None:
    seen = [rate for _, rate in batches]
    rate = a_pace(batches).estimate(1.0)
    assert rate is not None
    assert min(seen) * (1 - 1e-9) <= rate <= max(seen) * (1 + 1e-9)


@given(rates, st.integers(0, 5), st.floats(2.1, 1000.0))
def test_one_batch_out_of_several_that_hung_moves_nothing(rate: float, when: int, slower: float) -> None:
    batches = [(1.0, rate)] * 6
    batches[when] = (1.0, rate * slower)
    assert a_pace(batches).estimate(1.0) == pytest.approx(rate)


def test_a_lasting_change_is_believed_after_eight_batches() -> None:
    assert a_pace([(1.0, 2.0)] * 64 + [(1.0, 10.0)] * 9).estimate(1.0) == pytest.approx(10.0)


def test_newer_batches_count_more() -> None:
    rising = a_pace([(1.0, 1.0)] * 8 + [(1.0, 1.5)] * 8).estimate(1.0)
    assert rising is not None
    assert 1.3 < rising < 1.4


def test_the_estimate_fits_the_total_when_large_batches_are_cheaper_by_the_credit() -> None:
    assert a_pace([(1.0, 1.2), (4.0, 1.0)] * 40).estimate(5.0) == pytest.approx(5.2, rel=0.01)


@pytest.mark.parametrize(("credits", "seconds"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (1.0, float("nan"))])
def test_a_batch_without_size_or_time_is_refused(credits: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="both must be above zero"):
        Pace().learn(credits, seconds)
