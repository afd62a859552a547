"""The real bot with discord.py's own client, connected to the fake Discord, with a database file and a fake engine."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.app import build_client
from bot.jobs.acknowledgement import acknowledgements
from bot.ops.settings import Settings
from bot.prompting import TagIndex
from bot.sandbox import Channel, FakeDiscord, InteractionHandle, Message, User
from bot.sandbox.model import interactions
from bot.sandbox.model.interactions import COMPONENT
from storage.database import Database
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.fake_engine import FakeEngine
from tests.databases import new_database, on_postgresql

#: Seconds; long, because the machine may be busy.
TIMEOUT = 60.0
TAGS = TagIndex.load()


class Stage:
    """One bot connected to one fake Discord. Commands come from `alice` in `general` unless a test says otherwise."""

    def __init__(self, discord_: FakeDiscord, folder: Path, database_url: str | None = None) -> None:
        """`database_url`: a database that exists; None creates one."""
        self.discord = discord_
        self.alice, self.bob, self.emi = discord_.world.alice, discord_.world.bob, discord_.world.emi
        self.general = discord_.world.general
        self.engine = FakeEngine()
        #: Engines beside the first, by name.
        self.more_engines: dict[str, FakeEngine] = {}
        self.models = folder / "models"
        (self.models / "loras").mkdir(parents=True)
        self.settings: dict[str, Any] = {
            "anima_largest_batch": 4,
            # Long, because the machine may be busy.
            "database_connect_seconds": TIMEOUT,
            "database_statement_seconds": TIMEOUT,
        }
        self._file = folder / "anima.db"
        self.url = database_url

    @property
    def database_file(self) -> Path:
        """SQLite's, which a test looks into; on PostgreSQL the test is skipped."""
        if on_postgresql():
            pytest.skip("it looks into SQLite's file")
        return self._file

    async def start(self) -> None:
        if self.url is None:
            self.url = await new_database(self._file)
        settings = _settings(self.settings).model_copy(update={"database_url": self.url, "anima_models": self.models})
        self.database = await Database.open(self.url, timeouts=settings.database_timeouts)
        self.client = build_client(settings, self.database, {"fake": self.engine, **self.more_engines}, TAGS)
        self.client._connection.guild_ready_timeout = 0.01
        self._running = asyncio.create_task(self.client.start(self.discord.token))
        ready = asyncio.create_task(self.discord.wait_until_ready(TIMEOUT))
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            ready.cancel()
            await self._running
        await ready
        await self.client.wait_until_ready()
        recovered = asyncio.create_task(self.client.recovered.wait())
        await asyncio.wait({self._running, recovered}, return_when=asyncio.FIRST_COMPLETED)
        recovered.cancel()

    async def stop(self) -> None:
        if tasks := interaction_tasks():
            answered, waiting = await asyncio.wait(tasks, timeout=TIMEOUT)
            assert not waiting, f"these interactions are never answered: {waiting}"
            for task in answered:
                task.result()
        for engine in (self.engine, *self.more_engines.values()):
            engine.let_go()  # at the last moment, so that what is being drawn is not finished
        await self.client.close()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.database.close()

    async def restart(self) -> None:
        """Stop the bot and start a new one on the same database."""
        await self.stop()
        await self.discord.wait_until_gone()
        await self.start()

    async def slash(self, command: str, user: User | None = None, where: Channel | None = None, **options: Any) -> Any:
        return await self.discord.slash(user or self.alice, where or self.general, f"anima {command}", **options)

    async def answer(self, command: str, user: User | None = None, **options: Any) -> Message:
        """The response to a slash command."""
        return await (await self.slash(command, user, **options)).response()

    async def ask(self, prompt: str, user: User | None = None, where: Channel | None = None, **options: Any) -> Job:
        """Send `/anima imagine` and wait until its job is in the database and was in the queue."""
        job = await self.job_of(await self.slash("imagine", user, where, prompt=prompt, **options))
        await self.in_queue(job)
        return job

    async def draw(
        self, prompt: str, user: User | None = None, where: Channel | None = None, **options: Any
    ) -> tuple[Job, Message]:
        """Send `/anima imagine` and wait until its images are delivered."""
        return await self.delivered(await self.slash("imagine", user, where, prompt=prompt, **options))

    async def job_of(self, sent: InteractionHandle) -> Job:
        """What was asked for with a command, a button or a form, once it is in the database."""
        await sent.acknowledged()
        return await until(lambda: self.database.jobs.by_interaction(sent.id))

    async def in_queue(self, *jobs: Job) -> None:
        """Wait until stored jobs have reached the queue, which is a moment later. Some may have left it again."""

        async def came(job_id: int) -> bool:
            if job_id in self.client.queue:
                return True
            job = await self.database.jobs.get(job_id)
            return job is None or job.state is not JobState.QUEUED

        for job in jobs:
            await until(partial(came, job.id))

    async def delivered(self, sent: InteractionHandle) -> tuple[Job, Message]:
        """The same, once its images are in its message."""
        job = await self.in_state((await self.job_of(sent)).id, JobState.DELIVERED)
        message = self.discord.messages.get(job.message_id)
        assert message is not None
        return job, message

    async def in_state(self, job_id: int, state: JobState) -> Job:
        async def reached() -> Job | None:
            job = await self.database.jobs.get(job_id)
            return job if job is not None and job.state is state else None

        return await until(reached)

    async def press(self, message: Message, label: str, user: User | None = None) -> InteractionHandle:
        return await self.discord.press(user or self.alice, message, label=label)

    async def press_more(self, message: Message, label: str, user: User | None = None) -> InteractionHandle:
        """Press *More…* under an image, and then a button in its answer."""
        more = await (await self.press(message, "More…", user)).response()
        return await self.press(more, label, user)

    async def pick(self, message: Message, index: int, user: User | None = None) -> Message:
        """Press *More…* under several images, and choose one in its menu."""
        user = user or self.alice
        more = await (await self.press(message, "More…", user)).response()
        return await (await self.discord.choose(user, more, re.compile("anima:pick:.*"), [str(index)])).response()

    async def press_forged(
        self, message: Message, custom_id: str, user: User, values: Sequence[str] | None = None
    ) -> InteractionHandle:
        """Send what only a modified client can send: a custom_id that the message does not have, also of a select."""
        return press_forged(self.discord, message, custom_id, user, values)

    async def turned(self, message: Message, label: str, user: User | None = None) -> Message:
        """Press a button that edits its own message, and return the edited message."""
        return await (await self.press(message, label, user)).response()


def press_forged(
    discord: FakeDiscord, message: Message, custom_id: str, user: User, values: Sequence[str] | None = None
) -> InteractionHandle:
    """A press on a button, or a choice in a select with `values`, that the message does not have."""
    data: dict[str, Any] = {"component_type": 2, "custom_id": custom_id, "id": 2}
    item: dict[str, Any] = {"type": 2, "id": 2, "style": 2, "label": "x", "custom_id": custom_id}
    if values is not None:
        data |= {"component_type": 3, "values": list(values)}
        options = [{"label": value, "value": value} for value in values]
        item = {"type": 3, "id": 2, "custom_id": custom_id, "options": options}
    shown = discord.current(message)
    genuine = shown.components
    object.__setattr__(shown, "components", (*genuine, {"type": 1, "id": 1, "components": [item]}))
    try:
        sent = discord.interactions.send(COMPONENT, user, shown.channel, data, source=shown)
    finally:
        object.__setattr__(shown, "components", genuine)
    return InteractionHandle(sent, discord)


_read_settings: dict[str, Settings] = {}


def _settings(chosen: dict[str, Any]) -> Settings:
    """Read once for the same choices and environment: to look for each setting takes a tenth of a bot's start."""
    environment = {name: os.environ[name] for name in os.environ if name.lower() in Settings.model_fields}
    key = repr((sorted(chosen.items()), sorted(environment.items())))
    if key not in _read_settings:
        _read_settings[key] = Settings(_env_file=None, **chosen)
    return _read_settings[key]


def interaction_tasks() -> list[asyncio.Task[Any]]:
    """The tasks of discord.py that answer interactions; closing the client does not wait for them."""
    names = ("CommandTree-invoker", "discord-ui-")
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(names)]


def wait_longer(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let a bot in this process answer late, its database up to `seconds` late: a busy machine may take that long."""
    monkeypatch.setattr(interactions, "DEADLINE", 1.5 * seconds)
    monkeypatch.setattr(acknowledgements, "DATABASE_TIMEOUT", seconds)


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Call `condition` until it returns something true, and return that: soon at first, then less and less often.

    Most conditions are questions to the database, each of which takes the bot's own time: an image is there after
    some 50 ms.
    """
    pause = 0.03
    async with asyncio.timeout(TIMEOUT):
        while not (found := await condition()):
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.1)
    return found
