"""Engines of different speeds on one queue, in virtual time: how long people wait, and how well that is predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, median

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.jobs.queue import Consumer, FairQueue, QueuedJob
from bot.jobs.throughput import Forecast, Throughput, seconds_until_taken
from tests.bot.jobs.virtual_engines import TEN, Absence, Ask, VirtualEngines, asks

JOBS = 800
#: The largest share by which the median wait may be predicted wrong.
MAX_ERROR = 0.35

stretches = st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 20)), min_size=1, max_size=10)


@pytest.mark.parametrize("engines", [TEN, (1.0, 1.0), (1.0,)], ids=["ten", "two", "one"])
@pytest.mark.parametrize("load", [0.2, 0.8, 0.95])
def test_waits_are_estimated(engines: Sequence[float], load: float) -> None:
    record = VirtualEngines(engines, asks(JOBS, load, engines, seed=1)).run()
    assert median(record.errors()) < MAX_ERROR


@pytest.mark.parametrize("engines", [TEN, (1.0, 1.0), (1.0,)], ids=["ten", "two", "one"])
def test_waits_in_a_long_queue_are_estimated(engines: Sequence[float]) -> None:
    usual = asks(100, 0.5, engines, seed=1)
    rush = [replace(ask, at=usual[-1].at + 10) for ask in asks(300, 0.5, engines, seed=2)]
    record = VirtualEngines(engines, [*usual, *rush]).run()
    assert median(record.errors(learnt_after=100)) < MAX_ERROR


@pytest.mark.parametrize("engines", [TEN, (1.0, 1.0), (1.0,)], ids=["ten", "two", "one"])
def test_waits_are_estimated_while_models_are_swapped(engines: Sequence[float]) -> None:
    record = VirtualEngines(engines, asks(JOBS, 0.5, engines, seed=1, models=2), swap_seconds=3.0).run()
    assert record.swaps and median(record.errors()) < MAX_ERROR


def test_the_fastest_free_engine_halves_the_waits() -> None:
    """Engines that take whatever comes, as the consumers of a plain queue do, let many wait for a slow one."""
    asked = asks(JOBS, 0.2, TEN, seed=1)
    by_speed, by_chance = (mean(VirtualEngines(TEN, asked, by_speed=known).run().waits) for known in (True, False))
    assert by_speed < 0.55 * by_chance


def test_one_who_floods_many_engines_delays_the_others_little() -> None:
    flood = [Ask(5.0, 999_999, 4) for _ in range(200)]
    usual = asks(JOBS, 0.35, TEN, seed=1)
    record = VirtualEngines(TEN, sorted([*usual, *flood], key=lambda ask: ask.at)).run()
    alone = VirtualEngines(TEN, usual).run()
    owner = [ask.user_id for ask in sorted([*usual, *flood], key=lambda ask: ask.at)]
    others = [record.drawn[job] - record.asked[job] for job in record.asked if owner[job] != 999_999]
    assert mean(others) < 2.5 * mean(alone.waits)
    started = Counter(owner[job] for job in record.order[: len(record.order) // 4])
    assert started[999_999] < len(record.order) // 4 - 20, "the others had their turns"


def test_preferring_the_loaded_model_saves_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asks(JOBS, 0.6, (1.0, 1.0), seed=1, models=2)
    prefers = VirtualEngines((1.0, 1.0), asked, swap_seconds=3.0).run()
    monkeypatch.setattr(FairQueue, "_may_be_skipped", lambda *_: False)
    plain = VirtualEngines((1.0, 1.0), asked, swap_seconds=3.0).run()
    assert prefers.swaps < 0.9 * plain.swaps
    assert mean(prefers.waits) < mean(plain.waits) and max(prefers.waits) < max(plain.waits)


@pytest.mark.parametrize(
    ("per_batch", "per_credit", "busy_is_better"),
    [(0.0, 1.0, True), (0.9, 0.05, False)],
    ids=["batches gain nothing", "batches are nearly free"],
)
def test_nobody_waits_for_a_batch_that_gains_nothing(per_batch: float, per_credit: float, busy_is_better: bool) -> None:
    asked = [Ask(ask.at, ask.user_id, 1) for ask in asks(JOBS, 0.9, (1 / 2.4,), seed=1)]

    def waits(full_pass: int | None) -> float:
        engines = VirtualEngines((1.0,), asked, per_batch=per_batch, per_credit=per_credit, full_pass=full_pass)
        return mean(engines.run().waits)

    assert (waits(full_pass=1) < 0.9 * waits(full_pass=None)) == busy_is_better


@given(stretches, st.floats(0, 1000))
def test_the_estimated_moment_is_when_that_many_credits_are_taken(
    engines: list[tuple[float, float]], credits: float
) -> None:
    at = seconds_until_taken(credits, engines)
    given_out = sum(max(0.0, at - free_in) / pace for free_in, pace in engines)
    assert given_out == pytest.approx(credits, abs=1e-6)
    assert at >= min(free_in for free_in, _ in engines)


class DrawingClock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def engines_that_drew(*paces: float | None, watch: DrawingClock) -> list[Throughput]:
    found = []
    for pace in paces:
        throughput = Throughput(watch)
        if pace is not None:
            throughput.pace.learn(1.0, pace)
        found.append(throughput)
    return found


def test_a_new_engine_is_estimated_with_the_median_rate() -> None:
    watch = DrawingClock()
    engines = engines_that_drew(1.0, 3.0, 4.0, None, watch=watch)
    queue = FairQueue(4)
    forecast = Forecast(queue, lambda: engines[-1:] + engines[:1], watch)
    engines[0].take([QueuedJob(1, 1, 100.0, 1, "key")])
    engines[0].begin()
    queue.put(QueuedJob(2, 2, 2.0, 1, "key"))
    assert forecast.seconds_until_drawn(2) == 2.0, "of the two that draw, the median is that of the only one that has"
    everyone = Forecast(queue, lambda: engines, watch)
    assert everyone.seconds_until_drawn(2) == 6.0, "one of 3, 4 and the median 3 seconds per credit is free"


def test_nothing_is_estimated_before_any_engine_has_drawn() -> None:
    watch = DrawingClock()
    queue = FairQueue(4)
    queue.put(QueuedJob(1, 1, 2.0, 1, "key"))
    assert Forecast(queue, lambda: engines_that_drew(None, None, watch=watch), watch).seconds_until_drawn(1) is None


def test_a_running_job_takes_the_rest_of_its_engines_batch() -> None:
    watch = DrawingClock()
    fast, slow = engines_that_drew(1.0, 5.0, watch=watch)
    slow.take([QueuedJob(7, 1, 4.0, 1, "key")])
    slow.begin()
    watch.now += 8.0
    assert Forecast(FairQueue(4), lambda: [fast, slow], watch).seconds_until_drawn(7) == 12.0


def test_the_time_of_a_swap_is_measured_and_estimated() -> None:
    watch = DrawingClock()
    (engine,) = engines_that_drew(2.0, watch=watch)
    engine.loaded = frozenset({"base"})
    engine.take([QueuedJob(1, 1, 3.0, 1, "key", ("other",))])
    engine.begin()
    watch.now += 26.0
    engine.learn(3.0)
    engine.end()
    engine.loaded = frozenset({"other"})
    assert engine.swap_seconds == 20.0 and engine.pace.seconds_per_credit == 2.0
    queue = FairQueue(4)
    queue.put(QueuedJob(2, 2, 1.0, 1, "a", ("base",)))
    queue.put(QueuedJob(3, 3, 1.0, 1, "b", ("other",)))
    forecast = Forecast(queue, lambda: [engine], watch)
    assert forecast.seconds_until_drawn(2) == 22.0
    assert engine.consumer(None) == Consumer(2.0, frozenset({"other"}), 20.0)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([0.5, 1.0, 2.0, 8.0]), min_size=1, max_size=6), st.floats(0.1, 0.9), st.integers(0, 999)
)
def test_every_job_is_drawn_once_by_however_many_engines(engines: list[float], load: float, seed: int) -> None:
    record = VirtualEngines(engines, asks(60, load, engines, seed, models=2), seed, swap_seconds=2.0).run()
    assert sorted(record.order) == list(range(60))


@st.composite
def absences_of(draw: st.DrawFn, engines: int) -> list[Absence]:
    """One after the other for each engine, each with some silence before it is noticed."""
    found = []
    for engine in range(engines):
        at = 0.0
        for _ in range(draw(st.integers(0, 3))):
            silent = at + draw(st.floats(0, 30))
            begins = silent + draw(st.floats(0, 20))
            at = begins + draw(st.floats(0.1, 60))
            found.append(Absence(engine, silent, begins, at))
    return found


@settings(max_examples=40, deadline=None)
@given(st.data(), st.lists(st.sampled_from([0.5, 1.0, 2.0, 8.0]), min_size=1, max_size=10), st.integers(0, 999))
def test_nothing_is_lost_or_drawn_twice_while_engines_die_hang_and_come_back(
    data: st.DataObject, engines: list[float], seed: int
) -> None:
    asked = asks(80, 0.9, engines, seed, users=9, models=3)
    cancels = data.draw(st.dictionaries(st.integers(0, 79), st.floats(0, asked[-1].at), max_size=20))
    absences = data.draw(absences_of(len(engines)))
    record = VirtualEngines(engines, asked, seed, swap_seconds=2.0, absences=absences, cancels=cancels).run()
    assert sorted([*record.order, *record.cancelled]) == list(range(80))
    assert record.cancelled <= set(cancels)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=2, max_size=8), st.integers(0, 999))
@example([2.0, 0.5], 352)
def test_an_engine_that_hangs_delays_nobody_but_its_batch(engines: list[float], seed: int) -> None:
    """Its batch is drawn when its silence is noticed, and everything else meanwhile."""
    asked = asks(60, 0.5, engines[1:], seed)
    hangs = Absence(0, 0.0, 1000.0 + asked[-1].at, 1001.0 + asked[-1].at)
    record = VirtualEngines(engines, asked, seed, absences=[hangs]).run()
    late = [job_id for job_id, at in record.drawn.items() if at - record.asked[job_id] > 500]
    assert len(late) <= 4 and sorted(record.order) == list(range(60))
