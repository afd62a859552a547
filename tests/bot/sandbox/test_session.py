"""`anima sandbox` itself, without a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.rules.server_settings import load_server_settings
from bot.sandbox import FakeDiscord
from bot.sandbox.session import Sandbox, lift_limits
from tests.bot.harness import Stage


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


async def test_who_tries_it_for_the_first_time_meets_no_limits_of_large_servers(stage: Stage) -> None:
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


async def test_what_the_operator_says_of_private_messages_holds_in_the_sandbox_too(stage: Stage) -> None:
    await lift_limits(Sandbox(stage.discord, stage.client, stage._running), in_private=False)
    assert (await load_server_settings(stage.database.servers, None)).quota.credits is not None
