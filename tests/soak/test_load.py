"""A short run of `load.py`, and what it calculates."""

from pathlib import Path

from tests.soak.load import Outcome, Plan, load

FLOODER = 9


async def test_a_crowd_and_a_flood_lose_and_duplicate_nothing_and_wait_for_one_batch_at_most(tmp_path: Path) -> None:
    outcome = await load(Plan(jobs=240, users=40, flood=80, pressed=30, rate=20.0, seconds_per_batch=0.2), tmp_path)
    assert list(outcome.mistakes()) == []
    assert len(outcome.delivered) == len(outcome.accepted) > 0
    assert list(outcome.delays())


def an_outcome(*log: str) -> Outcome:
    return Outcome(Plan(), FLOODER, queue_log=[line.split() for line in log])


def test_a_new_user_waits_for_at_most_one_job_of_the_flood() -> None:
    flood = [f"put {job} {FLOODER}" for job in range(1, 9)]
    fair = an_outcome(*flood, "put 10 1", "take 1", "take 10 2 3")
    unfair = an_outcome(*flood, "put 10 1", "take 1", "take 2", "take 10")
    assert list(fair.mistakes()) == []
    assert list(unfair.mistakes()) == ["job 10 waited for 2 jobs of the flood to begin"]


def test_an_earlier_user_waits_for_at_most_one_batch_of_the_flood() -> None:
    before = [f"put {job} {FLOODER}" for job in range(1, 9)] + ["put 10 1", "take 10", "put 11 1"]
    assert list(an_outcome(*before, "take 1 2 3 4", "take 11").mistakes()) == []
    assert len(list(an_outcome(*before, "take 1 2 3 4", "take 5", "take 11").mistakes())) == 1


def test_an_image_in_two_messages_and_a_lost_job_are_violations() -> None:
    doubled = Outcome(Plan(), FLOODER, delivered={1: 100}, pictures={1: frozenset({100, 101})})
    assert any("job 1 is in messages" in mistake for mistake in doubled.mistakes())
    assert any("were delivered" in mistake for mistake in doubled.mistakes())
