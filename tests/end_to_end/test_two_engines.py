"""The real bot with two engines on the CPU: one is killed while both draw."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from bot.sandbox import FakeDiscord, Message
from storage.database import Database
from storage.jobs import Job
from tests.end_to_end.bot_process import TIMEOUT, bot_process
from tests.inference.engine_processes import engines_of
from tests.ports import free_port
from tests.storage.rules import broken_rules

pytestmark = pytest.mark.posix

PROMPTS = ("1girl, red hair, smile", "1girl, blue hair, hat")
SETTINGS = {"steps": 40, "count": 2, "seed": "5"}


async def test_a_killed_engines_batch_is_drawn_again_with_the_same_images(tmp_path: Path) -> None:
    port = free_port()
    async with FakeDiscord() as discord:
        folder = tmp_path / "two"
        folder.mkdir()
        async with bot_process(discord, folder, ANIMA_DEVICE="cpu,cpu", HEALTH_PORT=str(port)) as bot:
            await says(port, "readyz", "ready\n")
            await ask_all(discord)
            await until_running(folder, len(PROMPTS))
            engines = engines_of(bot.pid)
            assert len(engines) == 2
            engines[0].kill()
            two = await pictures(discord, len(PROMPTS))
            metrics = await says(port, "metrics", 'anima_jobs_total{state="delivered"} 2.0')
            assert "anima_pictures_total 4.0" in metrics, "nothing was drawn to the end twice"
            await says(port, "metrics", 'anima_engines{state="idle"} 2.0')
            engines_of(bot.pid)[0].kill()  # with nothing to do
            await says(port, "readyz", " is resting")
            await says(port, "metrics", 'anima_engines{state="idle"} 2.0')
        jobs = await finished_jobs(folder)
        assert sorted(job.attempts for job in jobs) == [1, 2]
    async with FakeDiscord() as discord:
        folder = tmp_path / "one"
        folder.mkdir()
        async with bot_process(discord, folder, ANIMA_DEVICE="cpu"):
            await ask_all(discord)
            one = await pictures(discord, len(PROMPTS))
    assert one == two


async def ask_all(discord: FakeDiscord) -> None:
    world = discord.world
    for user, prompt in zip((world.alice, world.bob), PROMPTS, strict=True):
        asked = await discord.slash(user, world.general, "anima imagine", prompt=prompt, **SETTINGS)
        await asked.acknowledged(TIMEOUT)


async def until_running(folder: Path, count: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            with closing(sqlite3.connect(folder / "anima.db", timeout=TIMEOUT)) as database:
                [(running,)] = database.execute("SELECT COUNT(*) FROM jobs WHERE state = 'running'")
            if running == count:
                return
            await asyncio.sleep(0.005)


async def pictures(discord: FakeDiscord, messages: int) -> dict[str, list[bytes]]:
    """The files of each prompt, once so many messages have theirs; each prompt has one message."""

    def finished() -> list[Message]:
        shown = discord.messages_in(discord.world.general)
        return [
            message for message in shown if message.attachments and "preview" not in message.attachments[0].filename
        ]

    async with asyncio.timeout(TIMEOUT):
        while len(found := finished()) < messages:
            await asyncio.sleep(0.02)
    files = {
        prompt: [file.data for message in found if prompt in message.text for file in message.attachments]
        for prompt in PROMPTS
    }
    assert [len(each) for each in files.values()] == [SETTINGS["count"]] * len(PROMPTS)
    return files


async def says(port: int, path: str, text: str) -> str:
    """What the bot answers, once it contains `text`."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(TIMEOUT):
        while True:
            async with http.get(f"http://127.0.0.1:{port}/{path}") as answer:
                if text in (said := await answer.text()):
                    return said
            await asyncio.sleep(0.05)


async def finished_jobs(folder: Path) -> Sequence[Job]:
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        assert not await broken_rules(database)
        found = [await database.jobs.get(number) for number in range(1, len(PROMPTS) + 1)]
        return [job for job in found if job is not None]
    finally:
        await database.close()
