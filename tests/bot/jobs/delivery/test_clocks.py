"""This machine's clock may be hours ahead of or behind Discord's without any effect."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.jobs import workers
from bot.jobs.delivery import progress
from bot.jobs.submission import Submitter
from bot.messages.job import COMES_IN_PRIVATE
from bot.sandbox.model.clock import Clock
from storage.schema import JobState
from tests.bot.conftest import checked_standin
from tests.bot.harness import Stage, until
from tests.bot.jobs.acknowledgement.test_kept_acknowledgements import dying, lost

HOURS = 3600.0


@pytest.fixture(params=[-5 * HOURS, 5 * HOURS], ids=["discord is behind", "discord is ahead"])
async def stage(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Stage]:
    async with checked_standin(monkeypatch, clock=Clock(ahead=request.param)) as standin:
        stage = Stage(standin, tmp_path)
        await stage.start()
        yield stage
        await stage.stop()


async def test_a_private_image_comes_in_its_own_message_while_the_token_lives(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", private=True)).id, JobState.RUNNING)
    await stage.client.retention._forget()
    await stage.restart()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    assert done.message_id == job.message_id
    assert not any(message.attachments for message in stage.discord.messages_in(stage.discord.dm(stage.alice)))


async def test_times_are_shown_as_everybody_elses_clock_has_them(stage: Stage) -> None:
    await stage.draw("1girl")
    answer = await stage.answer("quota")
    shown = re.findall(r"<t:(\d+):R>", answer.text)
    in_a_day = stage.discord.clock.now() + 24 * HOURS
    assert shown and all(abs(int(moment) - in_a_day) < 0.5 * HOURS for moment in shown)


async def test_a_private_job_that_was_resumed_says_in_time_that_its_message_ends(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EDIT_INTERVAL", 0.05)
    with dying(Submitter, "submit"):
        sent = await stage.slash("imagine", prompt="1girl", private=True)
        await sent.acknowledged()
        await lost(stage, sent)
    stage.discord.clock.turn(13.6 * 60)
    await stage.stop()
    await stage.discord.wait_until_gone()
    stage.engine.hold()  # not after the start, when the image may be there already
    await stage.start()

    async def says_so() -> bool:
        message = stage.discord.messages.get(sent.interaction.original_id)
        return message is not None and COMES_IN_PRIVATE in message.text

    await until(says_so)
    job = await stage.database.jobs.by_interaction(sent.id)
    assert job.token_expires_at - job.queued_at < timedelta(minutes=2)


async def test_an_image_that_was_posted_unnoticed_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.sandbox.model.messages.NONCE_LIFETIME", -1.0)
    monkeypatch.setattr(workers, "CLOSE_TIMEOUT", 0.1)
    thread = stage.discord.world.thread
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", where=thread)).id, JobState.RUNNING)
    stage.discord.archive_thread(thread)
    lost = stage.discord.faults.hold("POST", "^/channels/.*/messages", when="after")
    stage.engine.let_go()

    async def was_posted() -> bool:
        return lost.hits > 0

    await until(was_posted)
    stopping = stage.stop()
    await stopping
    lost.cut()
    await stage.discord.wait_until_gone()
    await stage.start()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    [message] = [message for message in stage.discord.messages_in(thread) if message.attachments]
    assert message.id == done.message_id
