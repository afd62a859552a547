"""Deleting a job's message cancels the job: nothing is posted again, and it costs nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from bot.jobs import workers
from bot.jobs.delivery import outbox
from bot.jobs.delivery.refusals import MessageDeleted
from bot.sandbox import Channel, Permissions
from storage.backend.errors import StorageUnavailable
from storage.jobs import Job, Jobs
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage, until

pytestmark = pytest.mark.both_databases


def remove(stage: Stage, job: Job) -> None:
    """As a moderator does."""
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    stage.discord.delete(stage.bob, message)


async def taken_away(stage: Stage, job: Job) -> None:
    """A job was cancelled because its message was deleted, and nothing more is posted."""
    ended = await stage.in_state(job.id, JobState.CANCELLED)
    assert ended.ended_by is None

    async def is_closed() -> bool:
        found = await stage.database.jobs.get(job.id)
        return found is not None and found.notified

    await until(is_closed)
    world = stage.discord.world
    channels: list[Channel] = [*world.guild.channels, *world.private_channels.values()]
    assert not any(job.prompt in each.text for channel in channels for each in stage.discord.messages_in(channel))
    usage = await stage.database.quotas.usage(Account(job.user_id, job.guild_id))
    assert usage.spent == 0


async def drawn_meanwhile(stage: Stage, prompt: str, **options: Any) -> Job:
    stage.engine.hold()
    return await stage.in_state((await stage.ask(prompt, **options)).id, JobState.RUNNING)


async def test_a_job_that_is_being_drawn_is_cancelled(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "rude words")
    remove(stage, job)
    await taken_away(stage, job)
    await until(lambda: _stopped(stage))


async def _stopped(stage: Stage) -> bool:
    return stage.engine.cancelled == 1


async def test_a_job_that_waits_is_cancelled_without_being_drawn(stage: Stage) -> None:
    await drawn_meanwhile(stage, "busy", user=stage.emi)
    job = await stage.ask("rude words")
    remove(stage, job)
    await taken_away(stage, job)
    stage.engine.let_go()
    await stage.draw("another")
    assert not any("rude words" in request.prompt for request in stage.engine.requests)


async def test_many_messages_deleted_at_once_cancel_all_their_jobs(stage: Stage) -> None:
    await drawn_meanwhile(stage, "busy", user=stage.emi)
    jobs = [await stage.ask(f"rude words {number}") for number in range(3)]
    ids = [str(job.message_id) for job in jobs]
    for job in jobs:
        stage.discord.messages.forget(job.message_id)
    channel = {"channel_id": str(stage.general.id), "guild_id": str(stage.general.guild.id)}
    stage.discord.gateway.dispatch("MESSAGE_DELETE_BULK", {"ids": ids, **channel})
    for job in jobs:
        await stage.in_state(job.id, JobState.CANCELLED)
    for job in jobs:
        await taken_away(stage, job)


async def test_deletions_while_the_database_is_away_are_looked_at_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)
    job = await drawn_meanwhile(stage, "rude words")
    live_in_messages, asked = Jobs.live_in_messages, list[Collection[int]]()

    async def not_at_first(self: Jobs, message_ids: Collection[int]) -> tuple[Job, ...]:
        asked.append(message_ids)
        if len(asked) < 3:
            raise StorageUnavailable("it is away")
        return await live_in_messages(self, message_ids)

    monkeypatch.setattr(Jobs, "live_in_messages", not_at_first)
    channel = {"channel_id": str(stage.general.id), "guild_id": str(stage.general.guild.id)}
    for message_id in range(1, 51):
        stage.discord.gateway.dispatch("MESSAGE_DELETE", {"id": str(message_id), **channel})
    remove(stage, job)
    await taken_away(stage, job)
    assert len(asked) < 10
    assert {*range(1, 51), job.message_id} <= {message_id for ids in asked for message_id in ids}


async def test_a_deletion_missed_by_the_gateway_is_noticed_when_the_image_is_posted(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "rude words")
    stage.discord.messages.forget(job.message_id)
    stage.engine.let_go()
    await taken_away(stage, job)


async def test_the_same_after_the_token_has_expired(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "rude words")
    stage.discord.clock.turn(16 * 60)
    stage.discord.messages.forget(job.message_id)
    stage.engine.let_go()
    await taken_away(stage, job)


async def test_an_image_that_waits_for_discord_is_not_posted_any_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await drawn_meanwhile(stage, "rude words")
    stage.discord.faults.answer("PATCH", "^/(channels|webhooks)/", 503, "down", times=10_000)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.RENDERED)
    remove(stage, job)
    await stage.in_state(job.id, JobState.CANCELLED)
    stage.discord.faults.clear()
    await taken_away(stage, job)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RENDERED])
async def test_a_message_deleted_while_the_bot_was_off_is_not_posted_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, state: JobState
) -> None:
    monkeypatch.setattr(workers, "CLOSE_TIMEOUT", 0.1)
    job = await drawn_meanwhile(stage, "rude words")
    if state is JobState.RENDERED:
        stage.discord.faults.answer("PATCH", "^/(channels|webhooks)/", 503, "down", times=10_000)
        stage.engine.let_go()
        await stage.in_state(job.id, state)
    await stage.stop()
    await stage.discord.wait_until_gone()
    stage.discord.faults.clear()
    remove(stage, job)
    await stage.start()
    await taken_away(stage, job)


async def test_the_reason_of_a_failure_is_not_posted_either(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "rude words")
    stage.discord.messages.forget(job.message_id)
    await stage.database.jobs.fail(job.id, "The engine failed.")
    stage.client.outbox.report_failure_later(job, "The engine failed.")
    await stage.client.outbox.wait_for(job.id)
    stage.engine.let_go()
    assert not any("failed" in each.text for each in stage.discord.messages_in(stage.general))

    async def is_closed() -> bool:
        ended = await stage.database.jobs.get(job.id)
        # Cancelled where a progress edit found the deletion first.
        return ended is not None and ended.state in (JobState.FAILED, JobState.CANCELLED) and ended.notified

    await until(is_closed)


async def test_nothing_is_posted_between_the_edit_that_finds_a_deletion_and_its_cancellation(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "rude words")
    stage.discord.messages.forget(job.message_id)
    for _ in range(2):
        with pytest.raises(MessageDeleted):
            await stage.client.delivery.report_failure(job, "The engine failed.")
    stage.engine.let_go()
    assert not any("failed" in each.text for each in stage.discord.messages_in(stage.general))


async def test_a_finished_job_stays_delivered_when_its_message_is_deleted(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    stage.discord.delete(stage.bob, message)
    await stage.draw("2girls")
    found = await stage.database.jobs.get(job.id)
    assert found is not None and found.state is JobState.DELIVERED


async def test_a_lost_permission_is_no_deletion(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "1girl")
    stage.discord.clock.turn(16 * 60)
    stage.discord.set_overwrite(stage.general, stage.discord.world.bot, deny=Permissions.VIEW_CHANNEL)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)


@pytest.mark.parametrize("private", [False, True])
async def test_a_deleted_channel_is_no_deletion_of_its_messages(stage: Stage, private: bool) -> None:
    gallery = stage.discord.world.gallery
    job = await drawn_meanwhile(stage, "1girl", where=gallery, private=private)
    stage.discord.delete_channel(gallery)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    assert any(message.attachments for message in stage.discord.messages_in(stage.discord.dm(stage.alice)))
