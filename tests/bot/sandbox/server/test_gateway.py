"""The gateway: sessions that are resumed, refused and forgotten."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

import aiohttp
import discord
import pytest

from bot.sandbox import FakeDiscord, InteractionFailed
from bot.sandbox.model import interactions
from tests.bot.sandbox.conftest import SpecimenStage


async def _seen(stage: SpecimenStage, kind: str, since: int = 0) -> None:
    await stage.discord.wait_for_event(lambda event: event.kind == kind, what=kind, after=since)


@pytest.mark.parametrize("break_it", ["drop", "cut", "request_reconnect"])
async def test_missed_events_are_sent_after_resuming(break_it: str, stage: SpecimenStage) -> None:
    world = stage.discord.world
    stage.bot.answer = lambda i: i.response.send_message("heard you")
    since = len(stage.discord.events.history)
    getattr(stage.discord.gateway, break_it)()
    interaction = await stage.discord.slash(world.alice, world.general, "specimen")
    assert (await interaction.response()).content == "heard you"
    kinds = [event.kind for event in stage.discord.events.history[since:]]
    assert "gateway_resumed" in kinds and "gateway_ready" not in kinds


async def test_an_interaction_during_a_long_silence_fails_and_a_later_one_is_heard(stage: SpecimenStage, clock) -> None:
    world = stage.discord.world
    stage.bot.answer = lambda i: i.response.send_message("heard you")
    stage.discord.gateway.refuses_connections = True
    stage.discord.gateway.drop()
    unheard = await stage.discord.slash(world.alice, world.general, "specimen")
    clock.turn(interactions.DEADLINE + 0.1)
    with pytest.raises(InteractionFailed, match="is not connected"):
        await unheard.acknowledged()
    stage.discord.gateway.refuses_connections = False
    await _seen(stage, "gateway_resumed")
    heard = await stage.discord.slash(world.alice, world.general, "specimen")
    assert (await heard.response()).content == "heard you"
    assert [error.code for error in await stage.errors(1)] == [10062]


async def test_an_invalid_session_begins_again(stage: SpecimenStage) -> None:
    world = stage.discord.world
    stage.bot.answer = lambda i: i.response.send_message("heard you")
    since = len(stage.discord.events.history)
    stage.discord.gateway.invalidate()
    await _seen(stage, "gateway_ready", since)
    interaction = await stage.discord.slash(world.alice, world.general, "specimen")
    assert (await interaction.response()).content == "heard you"


async def test_a_wrong_token_and_privileged_intents_are_refused(standin: FakeDiscord) -> None:
    client = discord.Client(intents=discord.Intents.none())
    with pytest.raises(discord.LoginFailure):
        await client.start("wrong")
    await client.close()
    client = discord.Client(intents=discord.Intents(guilds=True, members=True))
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await client.start(standin.token)
    await client.close()


async def test_the_bot_sees_no_members_but_itself_without_the_intent(stage: SpecimenStage) -> None:
    guild = stage.bot.get_guild(stage.discord.world.guild.id)
    assert [member.name for member in guild.members] == ["Anima"]
    assert guild.member_count == 5
    assert guild.filesize_limit == 10 * 2**20
    [bob] = await guild.query_members(user_ids=[stage.discord.world.bob.id])
    assert bob.name == "bob"


async def test_message_events_are_sent_to_those_with_the_intent(standin: FakeDiscord) -> None:
    client = discord.Client(intents=discord.Intents(guilds=True, guild_messages=True))
    client._connection.guild_ready_timeout = 0.01
    running = asyncio.create_task(client.start(standin.token))
    await standin.wait_for_event(lambda event: event.kind == "gateway_ready")
    await client.wait_until_ready()
    said = client.wait_for("message", timeout=60)
    message = await standin.say(standin.world.alice, standin.world.general, "hello")
    assert (await said).id == message.id
    deleted = asyncio.create_task(client.wait_for("raw_message_delete", timeout=60))
    await asyncio.sleep(0)
    standin.delete_message(message)
    assert (await deleted).message_id == message.id
    await client.close()
    await running


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ("nonsense", 4002),
        ({"op": 77}, 4003),
        ({"op": 2, "d": {"token": "wrong", "intents": 0}}, 4004),
    ],
)
async def test_clients_that_misbehave_are_closed(says: Any, code: int, standin: FakeDiscord) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(standin.gateway_url) as socket:
        assert (await socket.receive_json())["op"] == 10
        await socket.send_str(says if isinstance(says, str) else json.dumps(says))
        await socket.receive()
        assert socket.close_code == code


@pytest.mark.parametrize("compressed", [False, True])
async def test_heartbeats_are_acknowledged_in_the_compression_that_was_asked_for(
    compressed: bool, standin: FakeDiscord
) -> None:
    query = "?compress=zlib-stream" if compressed else ""
    inflate = zlib.decompressobj()
    async with aiohttp.ClientSession() as session, session.ws_connect(standin.gateway_url + query) as socket:

        async def receive() -> Any:
            message = await socket.receive()
            if not compressed:
                return json.loads(message.data)
            assert message.data.endswith(b"\x00\x00\xff\xff")
            return json.loads(inflate.decompress(message.data))

        assert (await receive())["d"]["heartbeat_interval"] > 1000
        await socket.send_json({"op": 1, "d": None})
        assert (await receive())["op"] == 11
        await socket.send_json({"op": 6, "d": {"token": standin.token, "session_id": "unknown", "seq": 1}})
        assert (await receive()) == {"op": 9, "d": False, "s": None, "t": None}
