"""The bot on several connections: 1, 2 and 16 of them draw and post, and connect as quickly as Discord allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.ops import sharding
from bot.ops.sharding import IdentifyQueue, ShardedClient
from bot.sandbox import FakeDiscord, Guild, Sharding
from bot.sandbox.model.serializers import guild_create_json
from storage.schema import JobState
from tests.bot.conftest import checked_standin
from tests.bot.harness import TIMEOUT, Stage, until

Begin = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Begin:
    """Starts the bot with so many shards, in front of a Discord that asks for them."""

    @asynccontextmanager
    async def begin(**asked: Any) -> AsyncIterator[Stage]:
        async with checked_standin(monkeypatch, sharding=Sharding(**asked)) as standin:
            stage = Stage(standin, tmp_path)
            await stage.start()
            yield stage
            await stage.stop()

    return begin


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Much longer than the tests' Discord demands: on a busy machine an IDENTIFY is late, and the next one is not."""
    monkeypatch.setattr(sharding, "IDENTIFY_INTERVAL", 0.8)


def identified(discord_: FakeDiscord) -> list[tuple[float, int]]:
    """When each shard began its session, and its number."""
    return [(event.at, event.data["shard"][0]) for event in discord_.events.history if event.kind == "gateway_ready"]


@pytest.mark.parametrize("shards", [1, 2, 16])
async def test_every_shard_draws_and_posts(begin: Begin, shards: int) -> None:
    async with begin(shards=shards, max_concurrency=16) as stage:
        assert stage.discord.gateway.shards == [(number, shards) for number in range(shards)]
        guilds = stage.discord.world.add_servers(shards)
        for guild in guilds:
            stage.discord.gateway.dispatch("GUILD_CREATE", guild_create(guild, stage.discord))
        jobs = [await stage.ask("1girl", stage.discord.world.owner, guild.channels[0]) for guild in guilds]
        jobs.append(await stage.ask("1girl", where=stage.discord.dm(stage.alice)))
        for job in jobs:
            assert (await stage.in_state(job.id, JobState.DELIVERED)).attempts == 1
        assert {(guild.id >> 22) % shards for guild in guilds} == set(range(shards))


def guild_create(guild: Guild, discord_: FakeDiscord) -> Any:
    return guild_create_json(guild, [guild.members[discord_.world.bot.id]])


@pytest.mark.usefixtures("quick")
async def test_shards_connect_as_max_concurrency_allows(begin: Begin) -> None:
    async with begin(shards=6, max_concurrency=2, identify_interval=0.2) as stage:
        begun = identified(stage.discord)
        assert len(begun) == 6 and stage.discord.gateway.identify_limiter.refused == 0
        for remainder in range(2):
            times = sorted(at for at, number in begun if number % 2 == remainder)
            assert all(later - earlier >= 0.2 for earlier, later in pairwise(times))


async def test_shards_with_different_remainders_do_not_wait_for_each_other() -> None:
    turns, inside = IdentifyQueue(max_concurrency=3), []
    together = asyncio.Event()

    async def connect(shard_id: int) -> None:
        async with turns.turn(shard_id):
            inside.append(shard_id)
            if len(inside) == 3:
                together.set()
            await together.wait()
            turns.identifies(shard_id)

    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*map(connect, range(3)))


async def test_unfinished_jobs_are_looked_at_once_for_all_shards_and_not_read(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 100,000 servers there are about a hundred shards, and ten thousand jobs take a second to read."""
    async with begin(shards=16, max_concurrency=16) as stage:
        asked: list[str] = []
        monkeypatch.setattr(stage.database.jobs, "live", lambda: asked.append("all jobs"))
        found = stage.database.jobs.servers_of_live

        async def servers_of_live(said: str) -> frozenset[int]:
            asked.append("servers")
            return await found(said)

        monkeypatch.setattr(stage.database.jobs, "servers_of_live", servers_of_live)
        await stage.client.on_ready()
        assert asked == ["servers"]


async def test_connected_shards_answer_while_others_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sharding, "IDENTIFY_INTERVAL", 3600.0)
    async with checked_standin(monkeypatch, sharding=Sharding(shards=2)) as standin:
        stage = Stage(standin, tmp_path)
        starting = asyncio.create_task(stage.start())
        await standin.wait_until_ready(TIMEOUT)
        asked = await standin.slash(stage.alice, standin.dm(stage.alice), "anima imagine", prompt="1girl")
        job = await until(lambda: stage.database.jobs.by_interaction(asked.id))
        await stage.in_state(job.id, JobState.DELIVERED)
        assert standin.gateway.shards == [(0, 2)] and not stage.client.is_connected
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await stage.stop()


@pytest.mark.usefixtures("quick")
async def test_all_shards_come_back_when_their_sessions_are_over(begin: Begin) -> None:
    async with begin(shards=3, max_concurrency=1, identify_interval=0.2) as stage:
        stage.engine.hold()
        drawn = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
        stage.discord.gateway.invalidate()
        await until(lambda: _true(len(stage.discord.gateway.shards) == 3 and len(identified(stage.discord)) >= 6))
        stage.engine.let_go()
        assert (await stage.in_state(drawn.id, JobState.DELIVERED)).attempts == 1
        await until(lambda: _true(stage.client.is_connected))
        assert stage.discord.gateway.identify_limiter.refused == 0
        assert stage.engine.starts == 1


@pytest.mark.usefixtures("quick")
async def test_a_removal_while_one_of_several_shards_was_disconnected_is_noticed(begin: Begin) -> None:
    async with begin(shards=2, max_concurrency=2) as stage:
        stage.engine.hold()
        drawn = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
        outside = await stage.ask("outside", where=stage.discord.dm(stage.alice))
        gateway = stage.discord.gateway
        gateway.refuses_connections = True
        gateway.drop()
        gateway._sessions.clear()  # they are over, so the shards have to begin new ones
        stage.discord.remove_bot(stage.discord.world.guild)
        gateway.refuses_connections = False
        await stage.in_state(drawn.id, JobState.CANCELLED)
        stage.engine.let_go()
        await stage.in_state(outside.id, JobState.DELIVERED)


async def test_no_session_is_started_that_would_reset_the_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with checked_standin(monkeypatch, sharding=Sharding(shards=2, max_concurrency=2, sessions=2)) as standin:
        assert not standin.gateway.identify_limiter.is_too_early(0), "as if the bot had been started before"
        stage = Stage(standin, tmp_path)
        starting = asyncio.create_task(stage.start())
        await until(lambda: _true("too few new sessions today" in caplog.text))
        assert standin.gateway.shards == [] and standin.gateway.identify_limiter.remaining == 1
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await stage.stop()


async def test_above_the_limit_no_intents_are_asked_for_and_no_server_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with checked_standin(monkeypatch) as standin:
        stage = Stage(standin, tmp_path)
        stage.settings["max_cached_servers"] = 3
        standin.world.add_servers(2)
        await stage.start()
        assert stage.client.caches_servers and len(stage.client.guilds) == 3
        assert standin.gateway.intents == {discord.Intents(guilds=True, guild_messages=True, moderation=True).value}
        standin.world.add_servers(1)
        await stage.restart()
        assert not stage.client.caches_servers and list(stage.client.guilds) == []
        assert standin.gateway.intents == {0}
        await stage.draw("1girl")
        await stage.stop()


def test_discord_py_still_has_the_internals_we_use() -> None:
    """Fails where an update of discord.py needs another look at `bot/ops/sharding.py`."""
    intents = discord.Intents(guilds=True)
    client = ShardedClient(intents=intents, max_cached_servers=0)
    assert client._connection._intents is intents
    assert callable(client._connection._remove_guild) and client._connection.parsers["READY"] == client._receive_ready
    assert client._shards == {}
    assert discord.version_info[:2] == (2, 7), "look at discord/shard.py: is `connect` still the loop that it was?"


async def _true(what: bool) -> bool:
    return what
