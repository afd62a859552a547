"""Buttons name a job by its number, which another database may have given to another job."""

from __future__ import annotations

import pytest

from bot.components.cancel import ENDED_ALREADY
from bot.components.moderation.panel import NOTHING_TO_MODERATE
from bot.sandbox import Message
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage


async def older_message(stage: Stage) -> Message:
    """A message from before the database was lost: it is older than all that is in the new one."""
    _, message = await stage.draw("1girl")
    stage.discord.clock.turn(60)
    return message


async def unchanged(stage: Stage, job: Job) -> bool:
    now = await stage.database.jobs.get(job.id)
    return now is not None and now.state is job.state and stage.discord.messages.get(job.message_id) is not None


@pytest.mark.parametrize(
    "action", ["reroll", "vary-strongly", "upscale", "edit", "info", "more", "share", "delete", "delete-for-good"]
)
async def test_a_button_under_a_message_older_than_the_job_does_nothing(stage: Stage, action: str) -> None:
    message = await older_message(stage)
    job, _ = await stage.draw("1boy", private=True)
    sent = await stage.press_forged(message, f"anima:{action}:{job.id}:0", stage.alice)
    told = await sent.response()
    assert "no longer saved" in told.text and told.is_ephemeral
    assert await stage.database.jobs.by_interaction(sent.id) is None
    assert await unchanged(stage, job)


async def test_it_cancels_nothing(stage: Stage) -> None:
    message = await older_message(stage)
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1boy")).id, JobState.RUNNING)
    sent = await stage.press_forged(message, f"anima:cancel:{job.id}", stage.alice)
    assert (await sent.followup()).text == ENDED_ALREADY
    assert await unchanged(stage, job)


@pytest.mark.parametrize("action", ["delete", "block", "both"])
async def test_an_old_report_moderates_nobody_else(stage: Stage, action: str) -> None:
    message = await older_message(stage)
    job, _ = await stage.draw("1boy", stage.emi)
    sent = await stage.press_forged(message, f"anima:moderate:{action}:{job.id}", stage.bob)
    assert (await sent.response()).text == NOTHING_TO_MODERATE
    assert await unchanged(stage, job)
    assert await stage.database.servers.block_of(stage.emi.id, stage.general.guild.id) is None


async def test_a_page_of_the_queue_cancels_jobs_that_are_newer_than_it(stage: Stage) -> None:
    page = await stage.answer("queue")
    stage.discord.clock.turn(60)
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1boy")).id, JobState.RUNNING)
    await stage.turned(await stage.turned(page, "Refresh"), "Cancel")
    await stage.in_state(job.id, JobState.CANCELLED)
