"""Shards: who hears of which server, who is closed, and how often a session may begin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bot.sandbox import Clock, FakeDiscord, Sharding
from bot.sandbox.server.limits.sharding import STRICT
from tests.bot.sandbox.conftest import request_as_bot

Connect = Callable[..., Any]


@asynccontextmanager
async def gateway(**sharding: Any) -> AsyncIterator[tuple[FakeDiscord, Connect, Clock]]:
    """A stand-in, a function that connects and identifies as a shard, and its clock."""
    clock = Clock()
    async with (
        FakeDiscord(clock=clock, sharding=Sharding(**sharding)) as standin,
        aiohttp.ClientSession() as session,
    ):

        async def connect(shard: Any = None, intents: int = 0) -> aiohttp.ClientWebSocketResponse:
            socket = await session.ws_connect(standin.gateway_url)
            assert (await socket.receive_json())["op"] == 10
            data = {"token": standin.token, "intents": intents} | ({} if shard is None else {"shard": shard})
            await socket.send_json({"op": 2, "d": data})
            return socket

        yield standin, connect, clock


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    await socket.receive()
    return socket.close_code


@pytest.mark.parametrize("shard", [[1, 1], [-1, 2], [0, 0], [0], "0/2", [0, "2"]])
async def test_a_wrong_shard_is_closed(shard: Any) -> None:
    async with gateway() as (_, connect, _):
        assert await closed_with(await connect(shard)) == 4010


async def test_a_bot_in_too_many_servers_has_to_shard() -> None:
    async with gateway(servers_per_shard=3) as (standin, connect, _):
        standin.world.add_servers(4)
        assert await closed_with(await connect()) == 4011
        assert await closed_with(await connect([0, 1])) == 4011
        assert (await (await connect([0, 2])).receive_json())["t"] == "READY"


async def test_ready_lists_the_servers_of_the_shard_alone() -> None:
    async with gateway(shards=3) as (standin, connect, _):
        standin.world.add_servers(6)
        listed, sockets = [], [await connect([number, 3]) for number in range(3)]
        for number, socket in enumerate(sockets):
            ready = (await socket.receive_json())["d"]
            assert ready["shard"] == [number, 3]
            ids = [int(guild["id"]) for guild in ready["guilds"]]
            assert all((id >> 22) % 3 == number for id in ids)
            listed += ids
        joined = [guild.id for guild in standin.world.guilds.values() if standin.world.bot.id in guild.members]
        assert sorted(listed) == sorted(joined)
        assert standin.gateway.shards == [(0, 3), (1, 3), (2, 3)]


async def test_an_interaction_goes_to_its_servers_shard_and_a_private_one_to_the_first() -> None:
    async with gateway(shards=4) as (standin, connect, _):
        for guild in standin.world.add_servers(3):
            number = (guild.id >> 22) % 4
            socket = await connect([number, 4])
            assert (await socket.receive_json())["t"] == "READY"
            standin.gateway.dispatch("INTERACTION_CREATE", {"guild_id": str(guild.id), "id": "1"})
            assert (await socket.receive_json())["t"] == "INTERACTION_CREATE"
            await socket.close()
        first, second = await connect([0, 2]), await connect([1, 2])
        for socket in (first, second):
            assert (await socket.receive_json())["t"] == "READY"
        standin.gateway.dispatch("INTERACTION_CREATE", {"id": "2"})
        assert (await first.receive_json())["d"] == {"id": "2"}
        await second.send_json({"op": 1, "d": None})
        assert (await second.receive_json())["op"] == 11, "nothing came before the answer to the heartbeat"


async def test_shards_of_one_remainder_identify_five_seconds_apart() -> None:
    async with gateway(shards=4, max_concurrency=2, identify_interval=STRICT.identify_interval) as (_, connect, clock):
        for number, answer in ((0, "READY"), (1, "READY"), (2, None)):
            assert (await (await connect([number, 4])).receive_json())["t"] == answer
        clock.turn(5.1)
        assert (await (await connect([2, 4])).receive_json())["t"] == "READY"


async def test_the_sessions_of_a_day_are_counted_and_one_too_many_resets_the_token() -> None:
    async with gateway(shards=7, max_concurrency=16, sessions=2) as (standin, connect, clock):

        async def limit() -> Any:
            status, answer = await request_as_bot(standin, "GET", "/gateway/bot")
            assert (status, answer["shards"], answer["url"]) == (200, 7, standin.gateway_url)
            return answer["session_start_limit"]

        assert await limit() == {"total": 2, "remaining": 2, "reset_after": 0, "max_concurrency": 16}
        for number in range(2):
            assert (await (await connect([number, 7])).receive_json())["t"] == "READY"
        now = await limit()
        assert now["remaining"] == 0 and 86_300_000 < now["reset_after"] <= 86_400_000
        assert await closed_with(await connect([2, 7])) == 4004
        clock.turn(86_401)
        assert (await limit())["remaining"] == 2


async def test_the_bots_servers_come_in_the_order_of_their_ids(standin: FakeDiscord) -> None:
    ids = [str(guild.id) for guild in standin.world.add_servers(5)]

    async def listed(query: str) -> list[str]:
        status, answer = await request_as_bot(standin, "GET", f"/users/@me/guilds?{query}")
        assert status == 200
        return [guild["id"] for guild in answer]

    assert await listed("") == [str(standin.world.guild.id), *ids]
    assert await listed("limit=2") == [str(standin.world.guild.id), ids[0]]
    assert await listed(f"limit=1&after={int(ids[2]) - 1}") == [ids[2]]
    assert await listed(f"limit=2&before={ids[3]}") == ids[1:3]
    standin.remove_bot(standin.world.guilds[int(ids[2])])
    assert await listed(f"limit=1&after={int(ids[2]) - 1}") == [ids[3]]
    [counted] = (await request_as_bot(standin, "GET", f"/users/@me/guilds?limit=1&after={ids[3]}&with_counts=true"))[1]
    assert counted["approximate_member_count"] == 2
