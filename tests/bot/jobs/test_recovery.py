"""A restart between any two steps of a job: it is drawn, charged and posted once, and nobody loses what is theirs."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from bot.jobs.queue import QueuePosition
from bot.jobs.recovery import Recovery
from bot.sandbox import Message
from storage.jobs import Job
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage, until

pytestmark = pytest.mark.both_databases


async def spent(stage: Stage) -> float:
    return (await stage.database.quotas.usage(Account(stage.alice.id, stage.general.guild.id))).spent


def pictures_in_general(stage: Stage) -> list[Message]:
    return [message for message in stage.discord.messages_in(stage.general) if message.attachments]


async def test_queued_and_running_jobs_are_drawn_after_a_restart(stage: Stage) -> None:
    stage.engine.hold()
    running = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    waiting = await stage.ask("2girls", steps=9)
    await stage.restart()
    for job in (running, waiting):
        await stage.in_state(job.id, JobState.DELIVERED)
    assert len(pictures_in_general(stage)) == 2
    assert {message.id for message in pictures_in_general(stage)} == {running.message_id, waiting.message_id}
    assert await spent(stage) == running.cost + waiting.cost


async def test_a_job_that_was_accepted_this_moment_is_in_line_once(stage: Stage) -> None:
    await stage.draw("earlier")
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    job = await stage.ask("1girl")
    client = stage.client
    await Recovery(stage.database, client.queue, client.outbox, client.progress).run(counting=False)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)


async def test_an_image_posted_but_not_recorded_is_not_posted_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_down = type(stage.database.jobs).delivered
    posted: list[int] = []

    async def too_late(jobs: Any, job_id: int, **_: Any) -> bool:
        posted.append(job_id)
        return False

    monkeypatch.setattr(type(stage.database.jobs), "delivered", too_late)
    job = await stage.ask("1girl")

    async def was_posted() -> bool:
        return posted == [job.id]

    await until(was_posted)
    assert (await stage.database.jobs.get(job.id)).state is JobState.RENDERED
    monkeypatch.setattr(type(stage.database.jobs), "delivered", write_down)
    await stage.restart()
    await stage.in_state(job.id, JobState.DELIVERED)
    [message] = pictures_in_general(stage)
    assert message.id == job.message_id and len(message.attachments) == 1
    assert len(stage.engine.batches) == 1 and await spent(stage) == 1.0


async def test_users_not_notified_of_a_refusal_or_cancellation_are_notified_after_a_restart(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.engine.hold()
    running = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    waiting = await stage.ask("2girls")
    assert await stage.database.jobs.cancel(waiting.id, stage.alice.id)
    assert await stage.database.jobs.refuse(running.id, "The channel is not what it was.")
    await stage.restart()

    async def both_told() -> list[Job] | None:
        jobs = [await stage.database.jobs.get(job.id) for job in (running, waiting)]
        told = [job for job in jobs if job is not None and job.notified]
        return told if len(told) == 2 else None

    await until(both_told)
    assert "not what it was" in stage.discord.messages.get(running.message_id).text
    assert not pictures_in_general(stage) and await spent(stage) == 0


async def place(stage: Stage, job: Job) -> QueuePosition | None:
    """On PostgreSQL a job is to be seen a moment before it is in line."""
    return stage.client.queue.position(job.id)


async def test_a_restart_increases_nobodys_share(stage: Stage) -> None:
    """Heavy users keep giving way to those who drew less."""
    for number in range(3):
        await stage.draw(f"picture {number}", stage.bob, steps=50)
    await stage.restart()
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.discord.world.emi)).id, JobState.RUNNING)
    for number in range(3):
        last_of_bob = await stage.ask(f"bob's {number}", stage.bob)
        last_of_alice = await stage.ask(f"alice's {number}")
    places = [(await until(partial(place, stage, job))).jobs_ahead for job in (last_of_alice, last_of_bob)]
    assert places == sorted(places)
