from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.jobs.acknowledgement import intake
from bot.ops.endpoints import point_discord_at
from bot.sandbox import FakeDiscord
from tests.bot.harness import Stage

DOCUMENT = Path(__file__).parents[3] / "shared" / "discord" / "openapi.json"


@asynccontextmanager
async def checked_standin(monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[FakeDiscord]:
    """A stand-in to which discord.py is pointed; at the end no request may have broken Discord's document.

    options: further arguments of FakeDiscord.
    """
    monkeypatch.setattr(Route, "BASE", Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    monkeypatch.setattr(discord.asset.Asset, "BASE", discord.asset.Asset.BASE)
    async with FakeDiscord(openapi=DOCUMENT if DOCUMENT.exists() else None, **options) as standin:
        point_discord_at(standin.api_url, standin.gateway_url)
        yield standin
    assert standin.openapi is None or not standin.openapi.violations


@pytest.fixture(autouse=True)
def patient_intake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine's disk may take longer than a person is to wait. Modules about a slow database override this."""
    monkeypatch.setattr(intake, "DATABASE_TIMEOUT", 2.5)


@pytest.fixture
async def standin(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    async with checked_standin(monkeypatch) as standin:
        yield standin


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()
