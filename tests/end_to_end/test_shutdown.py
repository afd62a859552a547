"""Shutdown of real processes by real signals: after the restart each job is generated, and none twice."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from unittest.mock import ANY

import psutil
import pytest

from bot.client import STOP_TIMEOUT
from bot.sandbox import FakeDiscord, InteractionHandle, Message
from storage.database import Database
from storage.jobs import Job
from storage.schema import JobState
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, TIMEOUT, bot_process, openapi
from tests.inference.engine_processes import engines_of, is_running
from tests.signals import send_signal
from tests.soak.fake_engine_bot import RELEASED
from tests.storage.rules import broken_rules

pytestmark = pytest.mark.posix

GOES_ON = "Your job will resume automatically"


@pytest.fixture
async def discord() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord(openapi=openapi()) as discord:
        yield discord
    assert discord.openapi is None or not discord.openapi.violations


async def ask(discord: FakeDiscord, prompt: str) -> InteractionHandle:
    interaction = await discord.slash(discord.world.alice, discord.world.general, "anima imagine", prompt=prompt)
    await interaction.acknowledged(TIMEOUT)
    return interaction


async def shows(discord: FakeDiscord, text: str) -> Message:
    return await discord.wait_for_message(discord.world.general, lambda message: text in message.text, TIMEOUT)


async def drawn(discord: FakeDiscord, prompt: str) -> Message:
    return await discord.wait_for_message(
        discord.world.general, lambda message: bool(message.shown) and prompt in message.text, TIMEOUT
    )


def with_picture(discord: FakeDiscord) -> list[Message]:
    return [message for message in discord.messages_in(discord.world.general) if message.shown]


async def is_drawn(folder: Path, asked: InteractionHandle) -> None:
    """Wait until the job is running."""
    query = "SELECT 1 FROM jobs WHERE interaction_id = ? AND state = 'running'"
    async with asyncio.timeout(TIMEOUT):
        while True:
            with closing(sqlite3.connect(folder / "anima.db", timeout=TIMEOUT)) as database:
                if database.execute(query, [asked.id]).fetchone():
                    return
            await asyncio.sleep(0.02)


async def engines_once_started(process: Process) -> list[psutil.Process]:
    async with asyncio.timeout(TIMEOUT):
        while not (engines := engines_of(process.pid)):
            await asyncio.sleep(0.02)
    return engines


async def ended(process: Process) -> int:
    return await asyncio.wait_for(process.wait(), TIMEOUT)


async def goes_on_running(process: Process) -> None:
    """Check that the process still runs after the time in which it would stop if it waited for nothing."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 3 * STOP_TIMEOUT)


async def jobs_of(folder: Path, *interactions: InteractionHandle) -> list[Job]:
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        assert await broken_rules(database) == []
        found = [await database.jobs.by_interaction(interaction.id) for interaction in interactions]
        return [job for job in found if job is not None]
    finally:
        await database.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_bot_closes_its_connection_and_ends(
    discord: FakeDiscord, tmp_path: Path, number: signal.Signals
) -> None:
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT) as process:
        engines = await engines_once_started(process)
        others = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert await ended(process) == 0
        await discord.wait_until_gone()
        assert discord.events.history[-1].data == {"code": 1000}
        assert not any(is_running(engine.pid) for engine in engines)
        # What engines are copied from ends by itself once the bot is gone.
        assert await asyncio.to_thread(psutil.wait_procs, others, TIMEOUT) == (ANY, [])


async def test_the_batch_in_progress_is_finished_first(discord: FakeDiscord, tmp_path: Path) -> None:
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT) as process:
        asked = await ask(discord, "held")
        await is_drawn(tmp_path, asked)
        bot = psutil.Process(process.pid)
        send_signal(signal.SIGTERM, [bot, *bot.children(recursive=True)])  # as a service manager does
        (tmp_path / RELEASED).touch()
        assert await ended(process) == 0
    [job] = await jobs_of(tmp_path, asked)
    assert (job.state, job.attempts) == (JobState.DELIVERED, 1)
    assert len(with_picture(discord)) == 1


async def test_queued_jobs_are_notified_and_drawn_after_the_restart_and_new_ones_refused(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT) as process:
        asked = [await ask(discord, "the first, held")]
        await is_drawn(tmp_path, *asked)
        asked += [await ask(discord, prompt) for prompt in ("the second", "the third")]
        await shows(discord, "in queue")
        process.send_signal(signal.SIGTERM)
        waiting = await shows(discord, GOES_ON)
        late = await discord.slash(discord.world.bob, discord.world.general, "anima imagine", prompt="too late")
        answer = await late.response()
        assert answer.is_ephemeral and "will be back in a moment" in answer.content
        pressed = await discord.press(discord.world.alice, waiting, label="Cancel")
        assert "will be back in a moment" in (await pressed.response()).content
        (tmp_path / RELEASED).touch()
        assert await ended(process) == 0
        jobs = await jobs_of(tmp_path, *asked, late)
        assert [job.state for job in jobs] == [JobState.DELIVERED, JobState.QUEUED, JobState.QUEUED]
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT) as process:
        await drawn(discord, "the second")
        await drawn(discord, "the third")
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    assert [(job.state, job.attempts) for job in await jobs_of(tmp_path, *asked)] == [(JobState.DELIVERED, 1)] * 3
    assert len(with_picture(discord)) == 3


async def test_a_started_response_is_finished_first(discord: FakeDiscord, tmp_path: Path) -> None:
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT) as process:
        await ask(discord, "before it")
        await drawn(discord, "before it")
        held = discord.faults.hold("POST", "^/interactions/", when="after")
        asked = await ask(discord, "begun")
        process.send_signal(signal.SIGTERM)
        await goes_on_running(process)
        held.release()
        assert await ended(process) == 0
    await shows(discord, GOES_ON)
    assert [job.state for job in await jobs_of(tmp_path, asked)] == [JobState.QUEUED]


async def test_an_image_that_is_being_posted_arrives_first(discord: FakeDiscord, tmp_path: Path) -> None:
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT) as process:
        held = discord.faults.hold("PATCH", "^/(channels|webhooks)/", file="anima-")
        asked = await ask(discord, "1girl")
        async with asyncio.timeout(TIMEOUT):
            while not held.hits:
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        await goes_on_running(process)
        held.release()
        assert await ended(process) == 0
    assert [job.state for job in await jobs_of(tmp_path, asked)] == [JobState.DELIVERED]
    assert len(with_picture(discord)) == 1


async def test_a_batch_that_outlasts_the_grace_period_is_drawn_after_the_restart(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT, SHUTDOWN_GRACE_SECONDS="0.3") as process:
        asked = await ask(discord, "held")
        await is_drawn(tmp_path, asked)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    await shows(discord, GOES_ON)
    [job] = await jobs_of(tmp_path, asked)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0), "the interrupted attempt does not count"
    (tmp_path / RELEASED).touch()
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT) as process:
        await drawn(discord, "held")
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    assert (await jobs_of(tmp_path, asked))[0].state is JobState.DELIVERED
    assert len(with_picture(discord)) == 1


async def test_a_second_signal_ends_the_grace(discord: FakeDiscord, tmp_path: Path) -> None:
    async with bot_process(discord, tmp_path, FAKE_ENGINE_BOT, SHUTDOWN_GRACE_SECONDS="3600") as process:
        asked = await ask(discord, "takes 3600 s")
        await is_drawn(tmp_path, asked)
        waits = await ask(discord, "waits")
        process.send_signal(signal.SIGTERM)
        await shows(discord, GOES_ON)
        process.send_signal(signal.SIGINT)
        assert await ended(process) == 0
    assert [job.state for job in await jobs_of(tmp_path, asked, waits)] == [JobState.QUEUED] * 2


async def test_a_job_that_waits_for_the_model_says_that_it_will_continue(discord: FakeDiscord, tmp_path: Path) -> None:
    async with bot_process(
        discord, tmp_path, FAKE_ENGINE_BOT, LOADING_SECONDS="3600", SHUTDOWN_GRACE_SECONDS="3600"
    ) as process:
        asked = await ask(discord, "1girl")
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
    assert [job.state for job in await jobs_of(tmp_path, asked)] == [JobState.QUEUED]
    message = discord.messages.get(asked.interaction.original_id)
    assert message is not None and "Your job will resume automatically" in message.text
