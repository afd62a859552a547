"""The bot with the fake Discord, on SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.ops.endpoints import point_discord_at
from bot.sandbox import FakeDiscord
from tests.bot.harness import TIMEOUT, Stage, wait_longer
from tests.databases import drop_databases, on_postgresql
from tests.postgresql_server import PostgresqlServer

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
def slow_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than Discord and a person are to wait.

    Tests about such waiting turn the clock by DEADLINE, or override this.
    """
    wait_longer(monkeypatch, TIMEOUT)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked `both_databases` runs on SQLite and on PostgreSQL; with DATABASE_URL everything runs there."""
    if metafunc.definition.get_closest_marker("both_databases") and not on_postgresql():
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def database_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if getattr(request, "param", None) == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        monkeypatch.setenv("DATABASE_URL", server.url())
    yield
    if on_postgresql():
        with asyncio.Runner() as runner:
            runner.run(drop_databases())


@pytest.fixture(autouse=True, scope="session")
def no_database_left() -> Iterator[None]:
    """On the server that DATABASE_URL names."""
    yield
    if on_postgresql():
        with asyncio.Runner() as runner:
            runner.run(drop_databases(templates=True))


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


@pytest.fixture
async def loading_stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    """A bot whose model is loading for as long as the test likes."""
    stage = Stage(standin, tmp_path)
    stage.engine.loaded.clear()
    await stage.start()
    yield stage
    stage.engine.loaded.set()
    await stage.stop()
