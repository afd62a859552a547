"""The panel's page of the gallery: choosing a channel, and what is wrong with it."""

from __future__ import annotations

import pytest

from bot.commands.admin.gallery import CANNOT_POST, IS_GONE, NO_GALLERY, ONLY_SAFE
from bot.commands.admin.log_channel import NOT_A_LOG_CHANNEL
from bot.sandbox.model.world import Permissions
from tests.bot.commands.admin.test_admin import AdminPanel
from tests.bot.commands.admin.test_log_channel import overwritten
from tests.bot.harness import Stage, until


@pytest.fixture
async def panel(stage: Stage) -> AdminPanel:
    return await (await AdminPanel(stage).open()).turn_to("gallery")


async def test_choosing_a_channel_stores_it_and_is_in_the_change_log(panel: AdminPanel) -> None:
    assert NO_GALLERY in panel.text
    await panel.choose("gallery", panel.world.gallery)
    assert (await panel.settings()).gallery_channel_id == panel.world.gallery.id
    assert ONLY_SAFE.format(channel=f"<#{panel.world.gallery.id}>") in panel.text and "⚠️" not in panel.text
    await panel.turn_to("overview")
    assert f"**Gallery** <#{panel.world.gallery.id}>" in panel.text
    await panel.turn_to("gallery")
    await panel.choose("gallery")
    assert (await panel.settings()).gallery_channel_id is None
    await panel.turn_to("log")
    assert f"<@{panel.user.id}> set the gallery to <#{panel.world.gallery.id}>" in panel.text
    assert f"<@{panel.user.id}> removed the gallery" in panel.text


async def test_an_age_restricted_channel_or_a_thread_of_one_takes_every_image(panel: AdminPanel) -> None:
    for channel in (panel.world.after_dark, panel.world.thread):
        await panel.choose("gallery", channel)
        assert (await panel.settings()).gallery_channel_id == channel.id
        assert "Only safe pictures" not in panel.text


async def test_a_channel_of_another_server_and_a_forged_select_of_a_member_are_refused(panel: AdminPanel) -> None:
    forged = await panel.stage.press_forged(
        panel.message, "anima-admin:gallery", panel.user, [str(panel.world.lounge.id)]
    )
    assert NOT_A_LOG_CHANNEL in (await forged.response()).text
    _, message = await panel.stage.draw("1girl")
    forged = await panel.stage.press_forged(
        message, "anima-admin:gallery", panel.world.alice, [str(panel.world.general.id)]
    )
    assert "Manage Server" in (await forged.response()).text
    assert (await panel.settings()).gallery_channel_id is None


async def test_the_panel_says_what_is_wrong_with_the_gallery(panel: AdminPanel) -> None:
    gallery = panel.world.gallery
    await panel.choose("gallery", gallery)
    await overwritten(panel.stage, gallery, deny=Permissions.ATTACH_FILES)
    await panel.turn_to("gallery")
    assert CANNOT_POST.format(channel=f"<#{gallery.id}>") in panel.text
    panel.discord.delete_channel(gallery)

    async def is_known() -> bool:
        return panel.stage.client.get_channel(gallery.id) is None

    await until(is_known)
    await panel.turn_to("gallery")
    assert IS_GONE in panel.text
