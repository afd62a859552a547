"""The one consumer: batches, failures, retries; each accepted job ends in a picture, a refund or a reason."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.jobs import engines, recovery, worker
from bot.sandbox import FakeDiscord
from inference import Cancelled, EngineDescription, InvalidRequest, NotFinite
from inference.process import EngineDied, EngineFailed
from storage.jobs import Job
from storage.quotas import Account
from storage.schema import JobState
from tests.bot import fake_engine
from tests.bot.fake_engine import FakeEngine
from tests.bot.harness import TIMEOUT, Stage, until

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.01)


async def text_of(stage: Stage, job_id: int) -> str:
    async def notified() -> str | None:
        job = await stage.database.jobs.get(job_id)
        message = stage.discord.messages.get(job.message_id) if job is not None and job.notified else None
        return message.text if message is not None else None

    return await until(notified)


async def spent(stage: Stage) -> float:
    return (await stage.database.quotas.usage(Account(stage.alice.id, stage.general.guild.id))).spent


async def test_jobs_that_fit_share_a_batch(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob, steps=1)).id, JobState.RUNNING)
    jobs = [await stage.ask(f"picture {number}") for number in range(3)]
    jobs.append(await stage.ask("other", steps=9))
    stage.engine.let_go()
    for job in jobs:
        await stage.in_state(job.id, JobState.DELIVERED)
    assert [len(batch) for batch in stage.engine.batches] == [1, 3, 1]


async def test_what_was_cut_off_although_it_is_wanted_goes_back_in_line(stage: Stage) -> None:
    """After a sleep the claim seems to be lost, until the renewal that was on its way has arrived."""
    stage.engine.errors = [Cancelled(), Cancelled()]
    job, message = await stage.draw("1girl")
    assert job.attempts == 1 and len(message.attachments) == 1


@pytest.fixture
async def stage_of_large_model(
    standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    monkeypatch.setattr(fake_engine, "NATIVE", replace(fake_engine.NATIVE, sizes=((1024, 1024),), steps=30))
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


async def test_the_smallest_job_costs_something_and_is_drawn(stage_of_large_model: Stage) -> None:
    stage = stage_of_large_model
    job, message = await stage.draw("1girl", aspect="64x64", steps=1, cfg=1.0)
    assert len(message.attachments) == 1 and job.cost == 0.001
    await stage.draw("2girls")


@pytest.mark.parametrize("error", [EngineDied("gone"), EngineFailed("out of memory"), NotFinite("not a number")])
async def test_a_failed_job_is_tried_again(stage: Stage, error: Exception) -> None:
    stage.engine.errors = [error]
    job, message = await stage.draw("1girl")
    assert job.attempts == 2 and len(message.attachments) == 1
    assert await spent(stage) == 1.0


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (EngineDied("gone"), "Drawing this failed twice."),
        (NotFinite("The picture came out as not a number."), "The picture came out as not a number."),
    ],
)
async def test_a_job_that_fails_twice_ends_with_an_explanation_and_a_refund(
    stage: Stage, error: Exception, sentence: str
) -> None:
    stage.engine.errors = [error, error]
    job = await stage.ask("1girl")
    await stage.in_state(job.id, JobState.FAILED)
    text = await text_of(stage, job.id)
    assert sentence in text and "You were not charged" in text
    assert await spent(stage) == 0
    await stage.draw("the next one")


async def test_an_invalid_request_is_not_tried_twice(stage: Stage) -> None:
    stage.engine.errors = [InvalidRequest("steps is 0, but must be from 1 to 1000.")]
    job = await stage.ask("1girl")
    await stage.in_state(job.id, JobState.FAILED)
    assert "steps is 0" in await text_of(stage, job.id)
    assert len(stage.engine.batches) == 1


async def test_one_bad_job_does_not_fail_the_others_of_its_batch(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob, steps=1)).id, JobState.RUNNING)
    jobs = [await stage.ask(prompt) for prompt in ("good", "deadly", "good too")]
    stage.engine.deadly = "deadly"
    stage.engine.let_go()
    states = {}
    for job, state in zip(jobs, (JobState.DELIVERED, JobState.FAILED, JobState.DELIVERED), strict=True):
        states[job.prompt] = (await stage.in_state(job.id, state)).state
    assert stage.engine.starts == 3, "once, after the batch, and after the deadly one alone"


async def test_an_engine_that_dies_while_it_loads_is_started_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, deaths = FakeEngine.start, [EngineDied("killed"), EngineDied("killed")]

    def dies_at_first(self: FakeEngine) -> EngineDescription:
        if deaths:
            raise deaths.pop()
        return start(self)

    monkeypatch.setattr(FakeEngine, "start", dies_at_first)
    await stage.restart()

    async def is_loaded() -> bool:
        return stage.client.workers.loaded

    await until(is_loaded)  # the fake engine's models folder is empty, so nothing can be asked for before
    await stage.draw("1girl")


async def test_a_bot_whose_engine_cannot_be_loaded_exits_and_says_why(
    standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> EngineDescription:
        raise EngineFailed("There is no model.")

    stage = Stage(standin, tmp_path)
    monkeypatch.setattr(stage.engine, "start", fails)
    await stage.start()
    await asyncio.wait_for(stage._running, TIMEOUT)
    assert stage.client.is_closed()
    assert str(stage.client.failure) == "There is no model."
    await stage.database.close()


def change_jobs(stage: Stage, to: str) -> None:
    """What no bot of this version would write."""
    with closing(sqlite3.connect(stage.database_file)) as database:
        database.execute(f"UPDATE jobs SET {to}")
        database.commit()


@pytest.mark.parametrize(
    "to", ["parameters = '{}'", f"attempts = {recovery.MAX_STARTS}, state = 'running', started_at = queued_at"]
)
async def test_a_job_that_always_crashes_the_bot_is_refunded_at_the_next_start(stage: Stage, to: str) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("poison")).id, JobState.RUNNING)
    await stage.client.close()
    change_jobs(stage, to)
    await stage.restart()
    await stage.in_state(job.id, JobState.FAILED)
    assert "You were not charged" in await text_of(stage, job.id)
    assert await spent(stage) == 0
    await stage.draw("the next one")


async def test_an_error_after_drawing_ends_in_a_refund_and_the_bot_continues(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = worker._new_images

    def fails(job: Job, *rest: Any) -> Any:
        if job.prompt == "bad":
            raise MemoryError("no room for it")
        return make(job, *rest)

    monkeypatch.setattr(worker, "_new_images", fails)
    job = await stage.in_state((await stage.ask("bad")).id, JobState.FAILED)
    assert job.attempts == 2 and "You were not charged" in await text_of(stage, job.id)
    assert await spent(stage) == 0
    await stage.draw("good")
