"""The fair queue: turns, batches, positions, and what its docstring promises."""

import asyncio
import copy
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.jobs.fairness.price import credits_for, price
from bot.jobs.queue import ANY_CONSUMER, MAX_EXACT_USERS, Consumer, FairQueue, QueuedJob, QueuePosition, _User

HALF_LIFE = 3600.0

users = st.integers(0, 4)
costs = st.sampled_from([0.25, 1.0, 1.0, 1.0, 1.000001, 0.333333, 1.7, 4.0, 40.0])
use = st.dictionaries(users, st.sampled_from([0.0, 1.0, 5.5, 31.0, 32.0, 33.3, 500.0]))


@dataclass
class QueueClock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@st.composite
def jobs(draw: st.DrawFn, most: int = 40) -> list[QueuedJob]:
    """Jobs of a few users, in order of acceptance."""
    asked = draw(st.lists(st.tuples(users, costs, st.integers(1, 4), st.integers(0, 1)), min_size=1, max_size=most))
    return [QueuedJob(job_id, *what) for job_id, what in enumerate(asked)]


def job(job_id: int, user_id: int, cost: float = 1.0, images: int = 1, batch_key: object = "key") -> QueuedJob:
    return QueuedJob(job_id, user_id, cost, images, batch_key)


def a_queue(
    waiting: Iterable[QueuedJob] = (),
    largest_batch: int = 4,
    lately: Mapping[int, float] | None = None,
    clock: QueueClock | None = None,
) -> FairQueue:
    queue = FairQueue(largest_batch, half_life=HALF_LIFE, clock=clock or QueueClock())
    queue.restore_usage(lately or {})
    for one in waiting:
        queue.put(one)
    return queue


def take(queue: FairQueue, consumer: Consumer = ANY_CONSUMER) -> tuple[QueuedJob, ...]:
    """What `take` gives without waiting, which it must when jobs wait."""
    try:
        queue.take(consumer).send(None)
    except StopIteration as done:
        batch: tuple[QueuedJob, ...] = done.value
        return batch
    raise AssertionError("take waited although there are jobs")


async def find_empty(queue: FairQueue) -> None:
    """The consumer has drawn everything and asks for more, in vain."""
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taking.done()
    taking.cancel()


def drain(queue: FairQueue) -> list[tuple[QueuedJob, ...]]:
    batches = []
    while queue:
        batches.append(take(queue))
    return batches


def in_order(queue: FairQueue) -> list[QueuedJob]:
    return [one for batch in drain(queue) for one in batch]


# batches


def test_a_batch_ends_where_its_engine_is_busy_with_it() -> None:
    waiting = [replace(job(number, number), tokens=1000) for number in range(6)]
    for full_pass, sizes in ((None, [4, 2]), (1, [1] * 6), (1000, [1] * 6), (1001, [2, 2, 2]), (9999, [4, 2])):
        queue, found = a_queue(waiting), []
        while queue:
            found.append(len(take(queue, Consumer(full_pass=full_pass))))
        assert found == sizes


def test_a_job_of_several_images_counts_them_all() -> None:
    waiting = [replace(job(number, number, images=2), tokens=1000) for number in range(3)]
    queue = a_queue(waiting)
    assert len(take(queue, Consumer(full_pass=2000))) == 1
    assert len(take(queue, Consumer(full_pass=2001))) == 2


# fairness


@given(st.integers(1, 60), costs, costs, st.integers(1, 4), st.integers(0, 10))
def test_one_who_floods_delays_a_newcomer_by_the_batch_in_progress_or_by_one_job(
    flood: int, their_cost: float, own_cost: float, largest_batch: int, batches_before: int
) -> None:
    queue = a_queue([job(number, 1, their_cost) for number in range(flood)], largest_batch)
    in_progress = [take(queue) for _ in range(batches_before) if queue]
    queue.put(job(1000, 2, own_cost))
    order = [one.user_id for one in in_order(queue)]
    assert order.index(2) == (0 if in_progress else 1)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(0, 20))
def test_many_who_flood_delay_a_newcomer_by_at_most_one_job_each(floods: list[int], batches_before: int) -> None:
    numbers = iter(range(10_000))
    queue = a_queue([job(next(numbers), user) for user, count in enumerate(floods) for _ in range(count)])
    for _ in range(batches_before):
        if queue:
            take(queue)
    queue.put(job(next(numbers), 99))
    order = [one.user_id for one in in_order(queue)]
    assert all(times <= 1 for times in Counter(order[: order.index(99)]).values())


@given(
    st.lists(costs, min_size=1, max_size=60),
    st.lists(costs, min_size=1, max_size=60),
    st.integers(1, 6),
)
def test_equal_recent_use_means_equal_shares_to_within_one_job_each(
    costs_a: list[float], costs_b: list[float], largest_batch: int
) -> None:
    """Both used so much that the price stays at its top; every stretch in which both wait is looked at."""
    waiting = [job(number, 1, cost) for number, cost in enumerate(costs_a)]
    waiting += [job(100 + number, 2, cost) for number, cost in enumerate(costs_b)]
    order = in_order(a_queue(waiting, largest_batch, lately={1: 1000, 2: 1000}))
    ahead = [0.0]
    left = Counter({1: len(costs_a), 2: len(costs_b)})
    for one in order:
        left[one.user_id] -= 1
        if not left[one.user_id]:
            break
        ahead.append(ahead[-1] + (one.cost if one.user_id == 1 else -one.cost))
    assert max(ahead) - min(ahead) <= max(costs_a) + max(costs_b) + 1e-9


@given(use, st.lists(st.tuples(costs, costs, st.floats(0, 7200)), min_size=5, max_size=60))
def test_no_recent_use_takes_away_more_than_half_of_a_share(
    lately: dict[int, float], steps: list[tuple[float, float, float]]
) -> None:
    clock = QueueClock()
    queue = a_queue(
        [job(2 * number + user, user, costs[user]) for number, costs in enumerate(steps) for user in (0, 1)],
        largest_batch=1,
        lately=lately,
        clock=clock,
    )
    largest = sum(max(step[user] for step in steps) for user in (0, 1))
    served = [(0.0, 0.0)]
    for *_, seconds in steps:
        (one,) = take(queue)
        clock.now += seconds
        mine, theirs = served[-1]
        served.append((mine + one.cost, theirs) if one.user_id == 0 else (mine, theirs + one.cost))
        for mine_then, theirs_then in served:
            mine_since, theirs_since = served[-1][0] - mine_then, served[-1][1] - theirs_then
            assert mine_since <= 2 * (theirs_since + largest) + 1e-9
            assert theirs_since <= 2 * (mine_since + largest) + 1e-9


def served_of_each(queue: FairQueue, batches: int) -> Counter[int]:
    return Counter(one.user_id for _ in range(batches) for one in take(queue))


def two_floods(lately: Mapping[int, float], clock: QueueClock) -> FairQueue:
    return a_queue([job(number, number % 2, 0.1) for number in range(200)], 1, lately, clock)


def test_a_heavy_user_gets_half_the_share_of_one_without_recent_use() -> None:
    served = served_of_each(two_floods({0: 500.0}, QueueClock()), 30)
    assert 19 <= served[1] <= 20


def test_recent_use_is_forgotten_after_some_half_lives() -> None:
    clock = QueueClock()
    queue = two_floods({0: 500.0}, clock)
    clock.now += 20 * HALF_LIFE
    assert served_of_each(queue, 30) == {0: 15, 1: 15}


async def test_use_that_this_queue_has_seen_counts_like_use_from_the_ledger() -> None:
    queue = a_queue([job(1, 0, 500.0)], 1)
    take(queue)
    await find_empty(queue)
    for number in range(2, 202):
        queue.put(job(number, number % 2, 0.1))
    assert 19 <= served_of_each(queue, 30)[1] <= 20


async def test_use_of_an_idle_machine_is_not_held_against_a_user() -> None:
    queue = a_queue([job(1, 1, 500.0)])
    take(queue)
    await find_empty(queue)
    queue.put(job(2, 1))
    for number in range(3, 43):
        queue.put(job(number, 2))
    assert in_order(queue)[0].user_id == 1


def test_being_absent_earns_no_credit() -> None:
    queue = a_queue([job(number, 1) for number in range(100)], 1, lately={1: 1000, 2: 1000})
    queue.put(job(100, 2))
    assert served_of_each(queue, 50) == {1: 49, 2: 1}
    for number in range(200, 300):
        queue.put(job(number, 2))
    assert served_of_each(queue, 20) == {1: 10, 2: 10}


def test_equal_claims_go_in_order_of_acceptance() -> None:
    assert [one.job_id for one in in_order(a_queue([job(3, 1), job(1, 3), job(2, 2)]))] == [1, 2, 3]


@given(jobs(), use, st.randoms(use_true_random=False))
def test_the_order_is_the_same_however_the_line_was_built_up(
    waiting: list[QueuedJob], lately: dict[int, float], shuffling: random.Random
) -> None:
    shuffled = waiting.copy()
    shuffling.shuffle(shuffled)
    assert drain(a_queue(shuffled, lately=lately)) == drain(a_queue(waiting, lately=lately))


# batches


@given(jobs(), use, st.integers(1, 8))
def test_sharing_a_batch_changes_nothing_about_the_order(
    waiting: list[QueuedJob], lately: dict[int, float], largest_batch: int
) -> None:
    assert in_order(a_queue(waiting, largest_batch, lately)) == in_order(a_queue(waiting, 1, lately))


@given(jobs(), use, st.integers(1, 8))
def test_a_batch_has_one_key_fits_and_is_as_long_as_it_can_be(
    waiting: list[QueuedJob], lately: dict[int, float], largest_batch: int
) -> None:
    batches = drain(a_queue(waiting, largest_batch, lately))
    for batch in batches:
        assert len({one.batch_key for one in batch}) == 1
        assert len(batch) == 1 or sum(one.images for one in batch) <= largest_batch
    for batch, following in pairwise(batches):
        images = sum(one.images for one in batch) + following[0].images
        assert following[0].batch_key != batch[0].batch_key or images > largest_batch


def test_different_users_share_a_batch_when_it_is_their_turn_anyway() -> None:
    assert [len(batch) for batch in drain(a_queue([job(number, number) for number in range(6)]))] == [4, 2]


# joining and leaving


@given(jobs(), jobs(most=20), use)
def test_cancelled_jobs_leave_no_trace(
    kept: list[QueuedJob], cancelled: list[QueuedJob], lately: dict[int, float]
) -> None:
    queue = a_queue(lately=lately)
    cancelled = [QueuedJob(2 * one.job_id + 1, one.user_id, one.cost, one.images, one.batch_key) for one in cancelled]
    kept = [QueuedJob(2 * one.job_id, one.user_id, one.cost, one.images, one.batch_key) for one in kept]
    for one in sorted(kept + cancelled, key=lambda one: one.job_id):
        queue.put(one)
    for one in cancelled:
        assert queue.remove(one.job_id) == one
        assert queue.remove(one.job_id) is None
    untouched = a_queue(kept, lately=lately)
    assert [queue.position(one.job_id) for one in kept] == [untouched.position(one.job_id) for one in kept]
    assert drain(queue) == drain(untouched)


@given(jobs(), use, st.integers(1, 10), st.randoms(use_true_random=False))
def test_a_job_put_back_returns_to_its_place_and_is_charged_once(
    waiting: list[QueuedJob], lately: dict[int, float], batches: int, shuffling: random.Random
) -> None:
    queue = a_queue(waiting, lately=lately)
    in_hand = [one for _ in range(batches) if queue for one in take(queue)]
    shuffling.shuffle(in_hand)
    for one in in_hand:
        queue.put_back(one)
    assert drain(queue) == drain(a_queue(waiting, lately=lately))


def test_a_job_that_was_put_back_goes_before_those_who_came_in_the_meantime() -> None:
    queue = a_queue([job(1, 1), job(2, 1)], largest_batch=1)
    (in_hand,) = take(queue)
    queue.put(job(3, 2))
    queue.put_back(in_hand)
    assert [one.job_id for one in in_order(queue)] == [1, 3, 2]


def test_putting_back_returns_recent_use_as_far_as_it_has_not_faded() -> None:
    clock = QueueClock()
    queue = a_queue([job(1, 0, 20.0)], 1, lately={0: 20.0}, clock=clock)
    (in_hand,) = take(queue)
    clock.now += HALF_LIFE
    queue.put_back(in_hand)
    queue.remove(1)
    untouched = a_queue([], 1, lately={0: 10.0}, clock=clock)
    for number in range(2, 102):
        queue.put(job(number, number % 2, 0.1))
        untouched.put(job(number, number % 2, 0.1))
    assert drain(queue) == drain(untouched)


def test_a_queued_job_cannot_be_put_there_twice() -> None:
    queue = a_queue([job(1, 1)])
    with pytest.raises(ValueError, match="Job 1 is already queued"):
        queue.put(job(1, 1))
    with pytest.raises(ValueError, match="Job 1 is already queued"):
        queue.put_back(job(1, 1))
    assert len(queue) == 1


@pytest.mark.parametrize(("cost", "images"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (float("inf"), 1), (1.0, 0)])
def test_a_job_that_costs_or_draws_nothing_is_refused(cost: float, images: int) -> None:
    with pytest.raises(ValueError, match="Job 7"):
        job(7, 1, cost, images)


# places


@given(jobs(), use, st.integers(0, 5))
def test_the_position_shown_is_the_one_that_comes_true(
    waiting: list[QueuedJob], lately: dict[int, float], batches: int
) -> None:
    clock = QueueClock()
    queue = a_queue(waiting, 3, lately, clock)
    clock.now += 1234.5
    for _ in range(batches):
        if queue:
            take(queue)
    places = {one.job_id: queue.position(one.job_id) for one in waiting if one.job_id in queue}
    credits_ahead = 0.0
    order = in_order(queue)
    assert len(order) == len(places)
    for jobs_ahead, one in enumerate(order):
        place = places[one.job_id]
        assert place is not None
        assert place.jobs_ahead == jobs_ahead
        assert place.credits_ahead == pytest.approx(credits_ahead)
        credits_ahead += one.cost


@pytest.mark.parametrize("longest", [1, 3, 30])
def test_in_a_very_long_queue_the_position_is_a_good_estimate(longest: int) -> None:
    chance = random.Random(longest)
    users = [user for user in range(2000) for _ in range(chance.randint(1, longest))]
    chance.shuffle(users)
    asked = [job(number, user, chance.choice((0.25, 1.0, 1.7))) for number, user in enumerate(users)]
    queue = a_queue(asked, 1, {user: chance.uniform(0, 60) for user in range(2000)})
    places = {one.job_id: queue.position(one.job_id) for one in chance.sample(asked, 200)}
    credits_ahead = 0.0
    for jobs_ahead, one in enumerate(in_order(queue)):
        if (place := places.get(one.job_id)) is not None:
            assert abs(place.jobs_ahead - jobs_ahead) <= 3 + 0.1 * jobs_ahead
            assert abs(place.credits_ahead - credits_ahead) <= 5 + 0.1 * credits_ahead
        credits_ahead += one.cost


def test_computing_a_position_looks_at_few_users(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    before = _User.before
    monkeypatch.setattr(_User, "before", lambda user, *rest: asked.append(user) or before(user, *rest))
    queue = a_queue([job(number, number) for number in range(10 * MAX_EXACT_USERS)])
    assert queue.position(10 * MAX_EXACT_USERS - 1) == QueuePosition(10 * MAX_EXACT_USERS - 1, 10 * MAX_EXACT_USERS - 1)
    assert len(asked) == MAX_EXACT_USERS


@given(st.integers(0, 10**10), st.integers(0, 10**9))
def test_credits_for_is_the_exact_inverse_of_price(paid: int, used: int) -> None:
    credit = credits_for(paid, used)
    assert price(used + credit) - price(used) >= paid
    assert credit == 0 or price(used + credit - 1) - price(used) < paid


def test_a_millionth_of_a_credit_decides_a_position() -> None:
    just_before_one = credits_for(999_999, usage=0) / 1_000_000
    queue = a_queue([job(1, 1, 0.5), job(2, 1), job(10, 2, just_before_one), job(11, 2)], lately={1: 1000})
    assert queue.position(11) == QueuePosition(2, (500_000 + credits_for(999_999, usage=0)) / 1_000_000)
    assert [one.job_id for one in in_order(queue)] == [1, 10, 11, 2]


def test_a_user_without_jobs_has_no_position() -> None:
    queue = a_queue([job(1, 1)])
    take(queue)
    assert queue.position(1) is None
    assert queue.position(2) is None


def test_a_users_jobs_are_listed_in_their_order() -> None:
    queue = a_queue([job(2, 1), job(1, 1), job(3, 2)])
    assert queue.of(1) == (job(1, 1), job(2, 1))
    assert queue.of(99) == ()


# several engines


@given(jobs(), use, st.lists(st.floats(0.1, 10.0), min_size=2, max_size=8), st.integers(1, 6))
def test_however_many_engines_take_the_order_is_that_of_one(
    waiting: list[QueuedJob], lately: dict[int, float], paces: list[float], largest_batch: int
) -> None:
    async def taken() -> list[tuple[QueuedJob, ...]]:
        queue = a_queue(largest_batch=largest_batch, lately=lately)
        batches: list[tuple[QueuedJob, ...]] = []

        async def draw(pace: float) -> None:
            while batch := await queue.take(Consumer(pace)):
                batches.append(batch)
                await asyncio.sleep(0)

        drawing = [asyncio.create_task(draw(pace)) for pace in paces]
        await asyncio.sleep(0)
        for one in waiting:
            queue.put(one)
        while queue:
            await asyncio.sleep(0)
        queue.close()
        await asyncio.gather(*drawing)
        return batches

    assert asyncio.run(taken()) == drain(a_queue(waiting, largest_batch, lately))


async def test_of_several_waiting_engines_the_fastest_gets_the_job() -> None:
    queue, taken = a_queue(), []

    async def draw(pace: float) -> None:
        await queue.take(Consumer(pace))
        taken.append(pace)

    drawing = [asyncio.create_task(draw(pace)) for pace in (2.0, 1.0, 8.0, 1.5)]
    await asyncio.sleep(0)
    for number in range(4):
        queue.put(job(number, number))
        for _ in range(3):
            await asyncio.sleep(0)
    assert taken == [1.0, 1.5, 2.0, 8.0]
    await asyncio.gather(*drawing)


async def test_an_engine_that_has_the_model_goes_before_a_faster_one_that_has_to_load_it() -> None:
    queue = a_queue()
    fast = asyncio.create_task(queue.take(Consumer(1.0, frozenset({"base"}), swap_seconds=10.0)))
    slow = asyncio.create_task(queue.take(Consumer(3.0, frozenset({"aesthetic"}), swap_seconds=10.0)))
    await asyncio.sleep(0)
    large = replace(job(1, 1, cost=8.0), models=("aesthetic",))
    small = replace(job(2, 1, cost=1.0), models=("aesthetic",), batch_key="other")
    queue.put(small)
    assert await slow == (small,)
    queue.put(large)
    assert await fast == (large,)
    slow = asyncio.create_task(queue.take(Consumer(3.0, frozenset({"aesthetic"}), swap_seconds=10.0)))
    fast = asyncio.create_task(queue.take(Consumer(1.0, frozenset({"base"}), swap_seconds=10.0)))
    await asyncio.sleep(0)
    queue.put(large)
    assert await fast == (large,), "8 credits: 18 seconds with the swap, 24 without"
    slow.cancel()


async def test_a_batch_that_a_cancelled_take_was_given_goes_back_to_its_place() -> None:
    queue = a_queue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.put(job(1, 1))
    queue._dispatch()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert take(queue) == (job(1, 1),)


# models


def has(*models: str) -> Consumer:
    return Consumer(loaded=frozenset(models))


def of_model(model: str, job_id: int, user_id: int) -> QueuedJob:
    return QueuedJob(job_id, user_id, 1.0, 1, model, (model,))


def ids(batch: Iterable[QueuedJob]) -> list[int]:
    return [one.job_id for one in batch]


def test_an_engine_prefers_its_loaded_model_then_those_passed_over() -> None:
    queue = a_queue([of_model("ab"[number % 2], number, number) for number in range(10)])
    batches = []
    loaded = "a"
    while queue:
        batch = take(queue, has(loaded))
        (loaded,) = batch[0].models
        batches.append(ids(batch))
    assert batches == [[0, 2, 4, 6], [1, 3, 5, 7], [9], [8]]


def test_nobody_is_passed_over_twice() -> None:
    queue = a_queue([of_model("b", 0, 0), *(of_model("a", number, number) for number in range(1, 10))])
    assert ids(take(queue, has("a"))) == [1, 2, 3, 4]
    assert ids(take(queue, has("a"))) == [0]
    assert ids(take(queue, has("a"))) == [5, 6, 7, 8]


def test_an_engine_without_a_fitting_job_takes_whose_turn_it_is() -> None:
    queue = a_queue([of_model("b", 0, 0), of_model("c", 1, 1)])
    assert ids(take(queue, has("a"))) == [0]


def test_a_users_own_jobs_keep_their_order_whatever_is_loaded() -> None:
    queue = a_queue([of_model("b", 0, 0), of_model("a", 1, 0), of_model("a", 2, 1)])
    assert [ids(take(queue, has("a"))) for _ in range(3)] == [[2], [0], [1]]


def test_the_preference_does_not_delay_newcomers() -> None:
    queue = a_queue([of_model("a", number, 1) for number in range(30)], 1)
    for _ in range(4):
        take(queue, has("a"))
    for number in range(100, 110):
        queue.put(replace(of_model("b", number, 2), cost=0.1))
    assert ids(take(queue, has("a"))) == [4], "preferred, although it is the other's turn"
    queue.put(of_model("b", 200, 3))
    assert ids(one for _ in range(2) for one in take(queue, has("b"))) == [100, 200]


model_jobs = st.tuples(users, costs, st.integers(1, 4), st.sampled_from("aab"))
steps = st.one_of(model_jobs, st.sampled_from(["a", "b", "c"]), st.floats(0, 2 * HALF_LIFE), st.integers(0, 30))


@given(st.lists(model_jobs, min_size=5, max_size=30), st.lists(steps, min_size=5, max_size=60), use)
def test_each_job_is_overtaken_by_at_most_one_batch_for_the_sake_of_what_is_loaded(
    first: list[tuple[int, float, int, str]], then: list[object], lately: dict[int, float]
) -> None:
    """A step is a job that joins, a batch for an engine with that model, time that passes, or a cancelled job."""
    clock = QueueClock()
    queue, overtaken, line = a_queue(lately=lately, clock=clock), Counter[int](), {}

    def join(user: int, cost: float, images: int, model: str) -> None:
        line[len(line)] = joining = QueuedJob(len(line), user, cost, images, (model, images > 2), (model,))
        queue.put(joining)

    for asked in first:
        join(*asked)
    for step in then:
        match step:
            case (int() as user, float() as cost, int() as images, str() as model):
                join(user, cost, images, model)
            case str() if queue:
                fair_order = ids(in_order(copy.deepcopy(queue)))
                batch = ids(take(queue, has(step)))
                last = max(fair_order.index(job_id) for job_id in batch)
                overtaken.update(job_id for job_id in fair_order[:last] if job_id not in batch)
                for user in {line[job_id].user_id for job_id in batch}:
                    own = [job_id for job_id in fair_order if line[job_id].user_id == user]
                    taken = [job_id for job_id in batch if line[job_id].user_id == user]
                    assert own[: len(taken)] == taken
            case float():
                clock.now += step
            case int():
                queue.remove(step)
    assert all(times <= 1 for times in overtaken.values()), overtaken


# waiting, pausing, closing


async def test_take_waits_until_there_is_a_job() -> None:
    queue = a_queue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put(job(1, 1))
    assert await taking == (job(1, 1),)


async def test_take_waits_again_when_the_job_that_woke_it_was_cancelled() -> None:
    queue = a_queue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.put(job(1, 1))
    queue.remove(1)
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put(job(2, 1))
    assert await taking == (job(2, 1),)


async def test_closing_wakes_the_consumer_with_nothing_and_keeps_what_waits() -> None:
    queue = a_queue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.close()
    assert await taking == ()
    queue.put(job(1, 1))
    assert await queue.take() == ()
    assert queue.position(1) == QueuePosition(0, 0.0)


async def test_a_cancelled_take_loses_no_job() -> None:
    queue = a_queue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.put(job(1, 1))
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await queue.take() == (job(1, 1),)


def test_users_and_receipts_of_long_ago_are_forgotten() -> None:
    clock = QueueClock()
    queue = a_queue(clock=clock)
    for number in range(3000):
        for which, user in enumerate((number, -1, -2)):  # the last two are always there
            queue.put(job(3 * number + which, user))
        take(queue)
        clock.now += HALF_LIFE
    assert len(queue._users) < 50
    assert len(queue._receipts) <= 1024


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens to the line: nothing is lost or doubled, and the promises of the module hold."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = QueueClock()
        self.queue = a_queue(largest_batch=3, lately={0: 50.0, 1: 2.0}, clock=self.clock)
        self.next_job_id = 1
        self.waiting: dict[int, QueuedJob] = {}
        self.in_hand: list[QueuedJob] = []
        self.known_users: set[int] = set()
        self.users_of_returned_jobs: set[int] = set()  # until their line has been empty
        self.served_before: dict[int, Counter[int]] = {}  # first job of a newcomer: jobs of others taken since it came

    @rule(user=st.integers(0, 6), cost=costs, images=st.integers(1, 4), key=st.integers(0, 1), count=st.integers(1, 9))
    def ask(self, user: int, cost: float, images: int, key: int, count: int) -> None:
        for _ in range(count):
            asked = QueuedJob(self.next_job_id, user, cost, images, key)
            self.queue.put(asked)
            self.waiting[asked.job_id] = asked
            if user not in self.known_users and not self.users_of_returned_jobs & self.askers():
                self.served_before[asked.job_id] = Counter()
            self.known_users.add(user)
            self.next_job_id += 1

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.queue.remove(job_id) == self.waiting.pop(job_id)
        self.served_before.pop(job_id, None)
        self.users_of_returned_jobs &= self.askers()

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        places = {job_id: self.queue.position(job_id) for job_id in self.waiting}
        first_of_each = {user: min(j for j, w in self.waiting.items() if w.user_id == user) for user in self.askers()}
        batch = take(self.queue)
        assert batch
        for position, one in enumerate(batch):
            assert self.waiting.pop(one.job_id) == one
            place = places[one.job_id]
            assert place is not None and place.jobs_ahead == position
            self.served_before.pop(one.job_id, None)
            for others in self.served_before.values():
                others[one.user_id] += 1
        for one in {one.user_id: one for one in reversed(batch)}.values():
            assert one.job_id == first_of_each[one.user_id]
        self.in_hand.extend(batch)
        self.users_of_returned_jobs &= self.askers()

    @precondition(lambda self: self.in_hand)
    @rule(how_many=st.integers(1, 4))
    def crash(self, how_many: int) -> None:
        for one in self.in_hand[-how_many:]:
            self.queue.put_back(one)
            self.waiting[one.job_id] = one
            self.users_of_returned_jobs.add(one.user_id)
        del self.in_hand[-how_many:]
        self.served_before.clear()  # the promise to newcomers leaves jobs that come back aside

    @rule(seconds=st.floats(0, 4 * HALF_LIFE))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def the_line_holds_what_waits(self) -> None:
        assert len(self.queue) == len(self.waiting)
        for user in range(7):
            expected = sorted(job_id for job_id, one in self.waiting.items() if one.user_id == user)
            assert [one.job_id for one in self.queue.of(user)] == expected

    @invariant()
    def nobody_passes_a_newcomer_twice(self) -> None:
        for others in self.served_before.values():
            assert all(times <= 1 for times in others.values())

    def askers(self) -> set[int]:
        return {one.user_id for one in self.waiting.values()}

    def teardown(self) -> None:
        while self.waiting:
            self.take()
            self.nobody_passes_a_newcomer_twice()
        assert len(self.queue) == 0


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
