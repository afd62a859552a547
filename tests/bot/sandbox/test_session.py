"""`anima sandbox` itself, without a browser."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.ops.settings import Settings
from bot.rules.server_settings import load_server_settings
from bot.sandbox import FakeDiscord, Message
from bot.sandbox.session import Sandbox, _temporary_database, is_final, lift_limits, sandbox_database
from storage.database import Database
from storage.schema import JobState
from tests.bot.harness import Stage, until
from tests.storage.requests import accepted


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


async def test_a_new_sandbox_has_no_limits_of_large_servers(stage: Stage) -> None:
    sandbox = Sandbox(stage.discord, stage.client, stage._running)
    await lift_limits(sandbox, in_private=True)
    for guild_id in (stage.discord.world.guild.id, None):
        settings = await load_server_settings(stage.database.servers, guild_id)
        assert settings.quota.credits is None
        assert (settings.limits.waiting, settings.limits.steps, settings.limits.times_native) == (20, 100, 4.0)
    assert settings.safety.always_safe
    await stage.restart()
    settings = await load_server_settings(stage.database.servers, None)
    assert settings.quota.credits is None


async def test_a_database_that_is_still_locked_hides_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Windows deletes no file that is open."""
    unlink = os.unlink

    def refuse(path: Any, **options: Any) -> None:
        if Path(os.fsdecode(path)).name == "anima.db":
            raise PermissionError(13, "The process cannot access the file", path)
        unlink(path, **options)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="what went wrong"):
        async with _temporary_database(Settings.read(_env_file=None)) as settings:
            Path(settings.database_url.removeprefix("sqlite:///")).touch()
            monkeypatch.setattr(os, "unlink", refuse)
            raise RuntimeError("what went wrong")
    monkeypatch.undo()
    assert list(tmp_path.rglob("anima.db"))


async def test_a_preview_is_not_taken_for_the_finished_image(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)

    async def preview() -> Message | None:
        message = stage.discord.messages.get(job.message_id)
        return message if message is not None and message.attachments else None

    assert not is_final(await until(preview))
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    finished = stage.discord.messages.get(job.message_id)
    assert finished is not None and is_final(finished)


async def test_on_postgresql_its_data_is_beside_the_operators_own(postgresql_url: str) -> None:
    own = await Database.open(postgresql_url)
    job = await accepted(own)
    address, messages = sandbox_database(postgresql_url)
    for _ in range(2):  # it is there again the next time
        sandbox = await Database.open(address)
        assert await sandbox.lock(), "both may draw"
        assert not any(other.user_id == job.user_id for other in await sandbox.jobs.live())
        await accepted(sandbox, user_id=7)
        await sandbox.close()
    assert await own.jobs.live() == (job,)
    await own.close()
    assert sandbox_database("sqlite:///anima.db")[0] != "sqlite:///anima.db"
    assert sandbox_database("sqlite:///anima.db")[1] != messages


async def test_the_operators_rules_for_private_messages_apply_in_the_sandbox_too(stage: Stage) -> None:
    await lift_limits(Sandbox(stage.discord, stage.client, stage._running), in_private=False)
    assert (await load_server_settings(stage.database.servers, None)).quota.credits is not None
