"""A short run of `experiment.py`, and what it calculates."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.jobs import Job
from storage.schema import JobState
from tests.soak.engines.experiment import EnginesOutcome, EnginesPlan, experiment

FLOODER = 9

pytestmark = pytest.mark.posix


async def test_constantly_failing_engines_lose_and_duplicate_nothing(tmp_path: Path) -> None:
    outcome = await experiment(EnginesPlan(jobs=36, people=12, flood=6, scale=0.3, fault_every=1.0), tmp_path)
    assert outcome.wrong == []
    assert len(outcome.accepted) > 0 and outcome.faults
    assert outcome.absences, "the log says when engines were away"
    computed = await asyncio.to_thread(outcome.computed)
    assert sorted(computed.order) == list(range(len(outcome.accepted)))


def an_outcome(*queue_log: dict[str, Any]) -> EnginesOutcome:
    return EnginesOutcome(EnginesPlan(), FLOODER, queue_log=[{"at": 0.0, **line} for line in queue_log])


def put(job: int, user: int) -> dict[str, Any]:
    return {"put": job, "user": user, "credits": 1.0, "predicted": None}


def test_jobs_of_the_flood_that_start_earlier_count_once() -> None:
    flood = [put(job, FLOODER) for job in range(1, 5)]
    outcome = an_outcome(
        *flood, {"take": [1]}, put(10, 1), {"take": [2]}, {"back": 2}, {"take": [2, 3]}, {"take": [10]}
    )
    assert list(outcome.overtakings()) == [(10, 2)]


def test_estimates_are_compared_with_actual_waits() -> None:
    outcome = an_outcome(*({**put(job, 1), "predicted": 15.0, "at": 1000.0} for job in range(60)))
    outcome.accepted = [delivered(job, at=1010.0) for job in range(60)]
    assert outcome.errors() == [0.5] * 10


def delivered(job_id: int, at: float) -> Job:
    when = datetime.fromtimestamp(at, UTC)
    return Job(
        id=job_id,
        interaction_id=job_id,
        user_id=1,
        channel_id=1,
        kind="imagine",
        cost=1.0,
        prompt="",
        state=JobState.DELIVERED,
        attempts=1,
        reason=None,
        ended_by=None,
        notified=True,
        queued_at=when,
        started_at=when,
        rendered_at=when,
        finished_at=when,
    )
