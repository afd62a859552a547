"""With what `anima invite` asks for everything works, and without any of it something does not."""

from __future__ import annotations

import discord
import pytest

from bot.cli.permissions import NEEDED, WHAT_FOR
from bot.sandbox import Channel
from bot.sandbox.model.permissions import ALL_PERMISSIONS, Permissions
from storage.schema import JobState
from tests.bot.harness import Stage

POSTING = ("view_channel", "send_messages", "attach_files")


def may_only(stage: Stage, channel: Channel, allowed: int) -> None:
    """The bot may do this in `channel` and nothing else."""
    stage.discord.set_overwrite(
        channel.parent or channel,
        stage.discord.world.bot,
        allow=Permissions(allowed),
        deny=ALL_PERMISSIONS & ~Permissions(allowed),
    )


def without(permission: str) -> int:
    return NEEDED.value & ~discord.Permissions(**{permission: True}).value


async def posted_anew(stage: Stage, channel: Channel, allowed: int) -> bool:
    """Whether a picture reaches its channel when Discord takes no edit of its message any more."""
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", where=channel)).id, JobState.RUNNING)
    closed = {"message": "Thread is archived", "code": 50083}
    stage.discord.faults.answer("PATCH", "/messages/", 400, closed, times=10_000)
    may_only(stage, channel, allowed)
    stage.engine.let_go()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    return job.channel_id == channel.id


async def test_the_requested_permissions_suffice(stage: Stage) -> None:
    for channel in (stage.general, stage.discord.world.thread):
        assert await posted_anew(stage, channel, NEEDED.value)
        [message] = [message for message in stage.discord.messages_in(channel) if message.attachments]
        found = await stage.client.get_partial_messageable(channel.id).fetch_message(message.id)
        assert found.id == message.id


@pytest.mark.parametrize("missing", POSTING)
async def test_without_it_nothing_can_be_posted_in_a_channel(stage: Stage, missing: str) -> None:
    assert not await posted_anew(stage, stage.general, without(missing))


async def test_without_it_nothing_can_be_posted_in_a_thread(stage: Stage) -> None:
    assert not await posted_anew(stage, stage.discord.world.thread, without("send_messages_in_threads"))


async def test_without_it_earlier_pictures_are_not_found(stage: Stage) -> None:
    job, _ = await stage.draw("1girl")
    may_only(stage, stage.general, without("read_message_history"))
    with pytest.raises(discord.Forbidden):
        await stage.client.get_partial_messageable(job.channel_id).fetch_message(job.message_id)


def test_every_permission_is_tried_here() -> None:
    assert {*POSTING, "send_messages_in_threads", "read_message_history"} == set(WHAT_FOR)
