"""The panel's page of the log channel: choosing one, and what is wrong with it."""

from __future__ import annotations

import pytest

from bot.commands.admin.log_channel import (
    CANNOT_POST,
    IS_GONE,
    IS_PUBLIC,
    NO_LOG_CHANNEL,
    NOT_A_LOG_CHANNEL,
    WAS_REFUSED,
)
from bot.messages.log_entries import LogEntry
from bot.sandbox import Channel, Message
from bot.sandbox.model.errors import ApiError, Refusal
from bot.sandbox.model.world import Permissions
from tests.bot.commands.admin.test_admin import AdminPanel
from tests.bot.harness import Stage, until


@pytest.fixture
async def panel(stage: Stage) -> AdminPanel:
    return await (await AdminPanel(stage).open()).turn_to("log-channel")


async def arrives(stage: Stage, channel: Channel, words: str) -> Message:
    async def found() -> Message | None:
        return next((each for each in stage.discord.messages_in(channel) if words in each.text), None)

    return await until(found)


async def overwritten(stage: Stage, channel: Channel, **overwrite: Permissions) -> None:
    """Sets what the bot may do in a channel, and waits until it knows."""
    stage.discord.set_overwrite(channel, stage.discord.world.bot_role, **overwrite)
    denied = overwrite.get("deny", Permissions(0)).value

    async def known() -> bool:
        cached = stage.client.get_channel(channel.id)
        return any(pair[1].value == denied for pair in (o.pair() for o in cached.overwrites.values()))

    await until(known)


async def test_choosing_a_channel_announces_it_there_and_stores_it(panel: AdminPanel) -> None:
    assert NO_LOG_CHANNEL in panel.text
    await panel.choose("log-channel", panel.world.gallery)
    assert (await panel.settings()).log_channel_id == panel.world.gallery.id
    assert IS_PUBLIC.format(channel=f"<#{panel.world.gallery.id}>") in panel.text
    message = await arrives(panel.stage, panel.world.gallery, "**Log channel**")
    assert f"<@{panel.user.id}>" in message.text and message.mentions.users == ()
    await panel.turn_to("overview")
    assert f"**Log channel** <#{panel.world.gallery.id}>" in panel.text
    await panel.turn_to("log-channel")
    await panel.choose("log-channel")
    assert (await panel.settings()).log_channel_id is None
    await panel.turn_to("log")
    assert f"<@{panel.user.id}> set the log channel to <#{panel.world.gallery.id}>" in panel.text
    assert f"<@{panel.user.id}> removed the log channel" in panel.text


async def test_a_thread_can_be_a_log_channel(panel: AdminPanel) -> None:
    await panel.choose("log-channel", panel.world.thread)
    assert (await panel.settings()).log_channel_id == panel.world.thread.id
    await arrives(panel.stage, panel.world.thread, "**Log channel**")


async def test_an_unknown_channel_or_one_of_another_server_is_refused(panel: AdminPanel) -> None:
    panel.world.elsewhere.add_member(panel.world.bot)
    await panel.stage.restart()
    for channel_id in (panel.world.lounge.id, 123):
        forged = await panel.stage.press_forged(panel.message, "anima-admin:log-channel", panel.user, [str(channel_id)])
        assert NOT_A_LOG_CHANNEL in (await forged.response()).text
    assert (await panel.settings()).log_channel_id is None


async def test_a_forged_select_of_a_member_changes_nothing(panel: AdminPanel) -> None:
    _, message = await panel.stage.draw("1girl")
    forged = await panel.stage.press_forged(
        message, "anima-admin:log-channel", panel.world.alice, [str(panel.world.general.id)]
    )
    assert "Manage Server" in (await forged.response()).text
    assert (await panel.settings()).log_channel_id is None


async def test_the_panel_says_that_the_bot_may_not_post_there(panel: AdminPanel) -> None:
    await panel.choose("log-channel", panel.world.gallery)
    await arrives(panel.stage, panel.world.gallery, "**Log channel**")
    await overwritten(panel.stage, panel.world.gallery, deny=Permissions.SEND_MESSAGES)
    await panel.turn_to("log-channel")
    assert CANNOT_POST.format(channel=f"<#{panel.world.gallery.id}>") in panel.text


async def test_the_panel_says_that_the_channel_is_gone(panel: AdminPanel) -> None:
    await panel.choose("log-channel", panel.world.gallery)
    panel.discord.delete_channel(panel.world.gallery)

    async def is_known() -> bool:
        return panel.stage.client.get_channel(panel.world.gallery.id) is None

    await until(is_known)
    await panel.turn_to("log-channel")
    assert IS_GONE in panel.text


async def test_the_panel_says_that_discord_refuses_posts(panel: AdminPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    await panel.choose("log-channel", panel.world.gallery)
    await arrives(panel.stage, panel.world.gallery, "**Log channel**")

    def refuse(*arguments: object, **options: object) -> None:
        raise ApiError(Refusal(403, 50001, "Missing Access"))

    with monkeypatch.context() as patch:
        patch.setattr(panel.discord.messages, "create", refuse)
        assert not await panel.stage.client.log_channels.post(panel.world.guild.id, LogEntry(lambda: "x"))
    await panel.turn_to("log-channel")
    assert WAS_REFUSED.format(channel=f"<#{panel.world.gallery.id}>") in panel.text
