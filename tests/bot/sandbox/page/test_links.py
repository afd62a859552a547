"""Links to messages and channels of the sandbox are followed in the page; others open as they do anywhere."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import ui
from playwright.async_api import Browser, expect

from tests.bot.sandbox.conftest import SpecimenStage

from .conftest import Screen, new_screen, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOLD_TIMERS = "() => { window.held = []; window.setTimeout = (run) => window.held.push(run); }"
UNSEEN = "You can't see this message. It may be deleted or too old."


async def test_a_link_to_a_message_further_up_goes_there(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    original = await stage.discord.say(world.bob, world.general, "the original")
    for number in range(40):
        await stage.discord.say(world.bob, world.general, f"between {number}")
    address = f"https://discord.com/channels/{world.guild.id}/{world.general.id}/{original.id}"
    await stage.discord.say(world.bob, world.general, f"[redrawn in part]({address})")
    await expect(screen.messages).to_have_count(42)
    await screen.page.evaluate(HOLD_TIMERS)
    for _ in range(2):  # a link works more than once
        await screen.page.locator("#scroller").evaluate("(scroller) => (scroller.scrollTop = scroller.scrollHeight)")
        await expect(screen.messages.first).not_to_be_in_viewport()
        await screen.page.get_by_role("link", name="redrawn in part").press("Enter")
        await expect(screen.messages.first).to_be_in_viewport(ratio=1)
        await expect(screen.messages.first).to_have_class("message marked")
        await expect(screen.messages.first).to_be_focused()
        await screen.page.evaluate("window.held.forEach((run) => run())")
        await expect(screen.messages.first).to_have_class("message")
    assert screen.tabs_opened == []
    await screen.press("Tab")
    await expect(screen.messages.first.locator(".more")).to_be_focused()


async def test_a_marked_message_that_changes_stays_marked_and_focused(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("before")

    await shown(stage, answer)
    world = stage.discord.world
    [message] = stage.discord.messages_in(world.general)
    address = f"https://discord.com/channels/{world.guild.id}/{world.general.id}/{message.id}"
    await stage.discord.say(world.bob, world.general, f"[there]({address})")
    await screen.page.evaluate(HOLD_TIMERS)
    await screen.page.get_by_role("link", name="there").click()
    await expect(screen.messages.first).to_have_class("message marked")
    await stage.bot.get_partial_messageable(world.general.id).get_partial_message(message.id).edit(content="after")
    await expect(screen.messages.first).to_contain_text("after")
    await expect(screen.messages.first).to_have_class("message marked")
    await expect(screen.messages.first).to_be_focused()


@pytest.mark.parametrize("host", ["discord.com", "canary.discord.com", "discordapp.com"])
async def test_a_button_that_links_to_a_message_elsewhere_opens_its_channel(
    stage: SpecimenStage, screen: Screen, host: str
) -> None:
    world = stage.discord.world
    shared = await stage.discord.say(world.bob, world.gallery, "shared")

    async def answer(interaction: discord.Interaction) -> None:
        view = ui.View(timeout=None)
        address = f"https://{host}/channels/{world.guild.id}/{world.gallery.id}/{shared.id}"
        button: ui.Button[Any] = ui.Button(label="Go to message", url=address)
        await interaction.response.send_message("shared", view=view.add_item(button), ephemeral=True)

    await shown(stage, answer)
    await screen.page.get_by_role("link", name="Go to message").click()
    await screen.shows(world.gallery)
    await expect(screen.last).to_contain_text("shared")
    await expect(screen.last).to_be_focused()
    assert screen.tabs_opened == []


async def test_a_link_to_a_direct_message(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    private = stage.discord.dm(world.alice)
    await stage.discord.say(world.alice, private, "between us")
    [message] = stage.discord.messages_in(private)
    await stage.discord.say(
        world.bob,
        world.general,
        f"https://discord.com/channels/@me/{private.id}/{message.id} and <#{world.gallery.id}>",
    )
    await screen.last.get_by_role("link").click()
    await expect(screen.page.locator("#channel-title")).to_have_text("@Anima")
    await expect(screen.last).to_contain_text("between us")
    await expect(screen.last).to_be_focused()


async def test_a_link_to_what_is_gone_or_cannot_be_seen_says_so(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    gone = await stage.discord.say(world.bob, world.gallery, "gone")
    secret = await stage.discord.say(world.bob, world.staff, "secret")
    stage.discord.delete_message(gone)
    here = f"https://discord.com/channels/{world.guild.id}"
    await stage.discord.say(
        world.bob,
        world.general,
        f"[gone]({here}/{world.gallery.id}/{gone.id}) [secret]({here}/{world.staff.id}/{secret.id})",
    )
    before = screen.page.url
    await screen.page.get_by_role("link", name="secret").click()
    await expect(screen.page.get_by_role("alert")).to_have_text("You can't see this channel.")
    assert screen.page.url == before
    await screen.page.get_by_role("link", name="gone").click()
    await screen.shows(world.gallery)
    await expect(screen.page.get_by_role("alert")).to_have_text(UNSEEN)


async def test_a_link_to_a_message_opens_in_another_tab_as_well(
    stage: SpecimenStage, screen: Screen, browser: Browser
) -> None:
    world = stage.discord.world
    shared = await stage.discord.say(world.bob, world.gallery, "shared")
    address = f"https://discord.com/channels/{world.guild.id}/{world.gallery.id}/{shared.id}"
    await stage.discord.say(world.bob, world.general, f"[there]({address})")
    leads = await screen.page.get_by_role("link", name="there").evaluate("(link) => link.href")
    other = await new_screen(browser, stage.discord.page_url)
    await other.page.goto(leads)
    await other.shows(world.gallery)
    await expect(other.last).to_be_focused()
    await other.page.context.close()


async def test_other_links_open_elsewhere(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    addresses = (
        "https://example.com/channels/1/2/3",
        "https://notdiscord.com/channels/1/2/3",
        "https://discord.com/developers/docs",
        "https://discord.com/channels/1",
    )
    await stage.discord.say(world.bob, world.general, " ".join(addresses))
    links = screen.last.get_by_role("link")
    await expect(links).to_have_count(len(addresses))
    for link, address in zip(await links.all(), addresses, strict=True):
        await expect(link).to_have_attribute("href", address)
        await expect(link).to_have_attribute("target", "_blank")
        await expect(link).to_have_attribute("rel", "noopener noreferrer")


async def test_the_focus_goes_to_the_conversation_when_a_note_is_dismissed(
    stage: SpecimenStage, screen: Screen
) -> None:
    world = stage.discord.world
    await stage.discord.say(world.bob, world.general, f"[gone](https://discord.com/channels/@me/{world.general.id}/1)")
    await screen.page.get_by_role("link", name="gone").click()
    await screen.button("Dismiss").press("Enter")
    await expect(screen.button("Dismiss")).to_have_count(0)
    await expect(screen.page.locator("#scroller")).to_be_focused()
