"""Injected faults affect the requests they are meant for, and the request log has them."""

from __future__ import annotations

import asyncio

import aiohttp
import discord
import pytest

from tests.bot.sandbox.conftest import SpecimenStage

MESSAGES = r"/channels/\{channel_id\}/messages$"


@pytest.fixture
def channel(stage: SpecimenStage) -> discord.TextChannel:
    return stage.bot.get_channel(stage.discord.world.general.id)


async def test_an_accepted_message_whose_answer_is_lost_is_there_and_its_nonce_finds_it(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    stage.discord.faults.drop("POST", MESSAGES, when="after")
    with pytest.raises(aiohttp.ClientError):
        await channel.send("picture", nonce="job-1")
    [message] = stage.discord.messages_in(stage.discord.world.general)
    assert (await channel.send("picture", nonce="job-1")).id == message.id
    assert [request.status for request in stage.discord.request_log.find("POST", MESSAGES)] == [0, 200]


async def test_a_message_that_never_came_is_not_there(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    stage.discord.faults.drop("POST", MESSAGES, when="before")
    with pytest.raises(aiohttp.ClientError):
        await channel.send("picture")
    assert stage.discord.messages_in(stage.discord.world.general) == []


async def test_a_rate_limit_is_waited_out_and_cloudflares_is_not(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    stage.discord.faults.rate_limit("POST", MESSAGES, 0.01, times=2)
    assert (await channel.send("picture")).content == "picture"
    statuses = [request.status for request in stage.discord.request_log.find("POST", MESSAGES)]
    assert statuses == [429, 429, 200]
    stage.discord.faults.rate_limit("POST", MESSAGES, 0.01, via=False)
    with pytest.raises(discord.HTTPException) as refusal:
        await channel.send("picture")
    assert refusal.value.status == 429


@pytest.mark.parametrize(("when", "messages"), [("before", 0), ("after", 1)])
async def test_a_server_error_comes_with_or_without_the_effect(
    when, messages, stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    stage.discord.faults.answer("POST", MESSAGES, 503, "<html>upstream</html>", when=when)
    with pytest.raises(discord.DiscordServerError, match="upstream"):
        await channel.send("picture")
    assert len(stage.discord.messages_in(stage.discord.world.general)) == messages


async def test_a_refusal_can_be_ordered_with_discords_code(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    stage.discord.faults.answer("POST", MESSAGES, 403, {"code": 50013, "message": "Missing Permissions"})
    with pytest.raises(discord.Forbidden) as refusal:
        await channel.send("picture")
    assert refusal.value.code == 50013
    assert await channel.send("picture")


async def test_requests_can_be_held_and_slowed(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    held = stage.discord.faults.hold("POST", MESSAGES)
    sending = asyncio.create_task(channel.send("held"))
    while not held.hits:
        await asyncio.sleep(0.001)
    assert stage.discord.messages_in(stage.discord.world.general) == []
    held.release()
    assert (await sending).content == "held"
    stage.discord.faults.delay("POST", MESSAGES, 0.05)
    await channel.send("slow")
    assert stage.discord.request_log.find("POST", MESSAGES)[-1].seconds >= 0.05


async def test_only_matching_requests_are_affected_and_faults_still_to_come_can_be_dropped(
    stage: SpecimenStage, channel: discord.TextChannel
) -> None:
    stage.discord.faults.answer("PATCH", "/messages/", 500)
    stage.discord.faults.answer("POST", "/channels/999/", 500)
    message = await channel.send("untouched")
    stage.discord.faults.clear()
    assert (await message.edit(content="edited")).content == "edited"


async def test_the_journal_tells_every_request(stage: SpecimenStage, channel: discord.TextChannel) -> None:
    await channel.send("a", nonce="n")
    [request] = stage.discord.request_log.find("POST", MESSAGES)
    assert (request.body["content"], request.body["nonce"], request.answer["nonce"]) == ("a", "n", "n")
    assert str(request).endswith(f"POST /channels/{channel.id}/messages -> 200")
    assert stage.discord.request_log.find("PUT", "commands", status=200)
    assert stage.discord.request_log.refused() == []
