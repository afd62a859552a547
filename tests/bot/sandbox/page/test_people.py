"""Several people, channels and languages: each sees and may do what is theirs."""

from __future__ import annotations

import discord
import pytest
from discord import ui
from playwright.async_api import Browser, expect

from bot.sandbox import Permissions
from tests.bot.sandbox.conftest import SpecimenStage

from .conftest import Screen, new_screen, shown, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_page_begins_as_a_member_in_the_first_channel(stage: SpecimenStage, browser: Browser) -> None:
    screen = await new_screen(browser, stage.discord.page_url)
    await screen.page.goto(screen.address)
    await screen.shows(stage.discord.world.general)
    await expect(screen.page.get_by_label("Use the sandbox as")).to_have_value(str(stage.discord.world.alice.id))
    await expect(screen.page.locator("#notice")).to_have_text("A sandbox on this computer. This is not Discord.")
    await screen.page.context.close()


async def test_another_user_sees_other_channels_and_commands(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    names = screen.page.locator("#channels .channel-name")
    await expect(names).to_have_text(["general", "gallery", "after-dark", "late sketches", "sketch club", "Anima"])
    await screen.type("/")
    await expect(screen.options).to_have_count(2)
    await screen.switch_to(world.bob, world.general)
    await expect(names).to_have_text(["general", "gallery", "after-dark", "staff", "late sketches", "lounge", "Anima"])
    await screen.text.fill("/")
    await expect(screen.options).to_have_count(3)
    await expect(screen.options.last).to_contain_text("/specimen")
    await expect(screen.options.nth(1)).to_contain_text("/settings")


async def test_an_age_restricted_channel_says_so(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await screen.page.get_by_role("link", name="after-dark").click()
    await screen.shows(world.after_dark)
    await expect(screen.page.locator("#channel-title")).to_contain_text("Age-restricted")
    await expect(screen.text).to_have_attribute("placeholder", "Message #after-dark")
    heard = []

    async def answer(interaction: discord.Interaction) -> None:
        heard.append(interaction.channel.is_nsfw())  # type: ignore[union-attr]
        await interaction.response.send_message("seen")

    await screen.ask(stage, answer)
    await expect(screen.last).to_contain_text("seen")
    assert heard == [True]


async def test_the_private_channel_with_the_bot(stage: SpecimenStage, screen: Screen) -> None:
    await screen.page.get_by_role("link", name="Anima").click()
    await expect(screen.page.locator("#channel-title")).to_have_text("@Anima")
    await screen.ask(stage, lambda i: i.response.send_message(f"alone with {i.user.name}, guild {i.guild_id}"))
    await expect(screen.last).to_contain_text("alone with alice, guild None")


async def test_buttons_belong_to_whoever_the_bot_says(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world

    class Own(ui.View):
        @ui.button(label="Mine")
        async def mine(self, interaction: discord.Interaction, button: ui.Button[Own]) -> None:
            if interaction.user.id == world.alice.id:
                await interaction.response.edit_message(content="yours")
            else:
                await interaction.response.send_message("This is Alice's.", ephemeral=True)

    await shown(stage, lambda i: i.response.send_message("whose?", view=Own()))
    await screen.switch_to(world.emi, world.general)
    await screen.button("Mine").click()
    await expect(screen.last).to_contain_text("This is Alice's.")
    await screen.switch_to(world.alice, world.general)
    await expect(screen.messages).to_have_count(1)
    await screen.button("Mine").click()
    await expect(screen.last).to_contain_text("yours")


async def test_two_people_at_once_in_two_tabs(stage: SpecimenStage, screen: Screen, browser: Browser) -> None:
    world = stage.discord.world
    bobs = await new_screen(browser, stage.discord.page_url)
    await bobs.open(world.bob, world.general)
    await screen.text.fill("hello Bob <@" + str(world.bob.id) + ">")
    await screen.press("Enter")
    await expect(bobs.last).to_contain_text("hello Bob @Bob")
    await expect(bobs.last).to_have_class("message mentions-me")
    await expect(screen.last).to_have_class("message")
    await bobs.page.context.close()


async def test_another_channel_shows_that_there_is_something_new(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await stage.discord.say(world.bob, world.gallery, "over here")
    link = screen.page.get_by_role("link", name="gallery")
    await expect(link).to_have_accessible_name("gallery unread messages")
    await link.click()
    await expect(screen.last).to_contain_text("over here")
    await expect(link).to_have_accessible_name("gallery")


async def test_a_user_who_may_not_write_is_shown_why(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    stage.discord.set_overwrite(world.general, world.alice, deny=Permissions.SEND_MESSAGES)
    await screen.text.fill("hello")
    await screen.press("Enter")
    await expect(screen.page.locator(".note")).to_contain_text("alice may not write in #general.")
    await expect(screen.text).to_have_value("hello")


async def test_a_channel_that_is_deleted_is_left(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await screen.page.get_by_role("link", name="gallery").click()
    await screen.shows(world.gallery)
    stage.discord.delete_channel(world.gallery)
    await screen.shows(world.general)
    await expect(screen.page.get_by_role("link", name="gallery")).to_have_count(0)


async def test_commands_that_are_registered_again_are_there_at_once(stage: SpecimenStage, screen: Screen) -> None:
    await screen.type("/")
    await expect(screen.options).to_have_count(2)
    stage.discord.commands.overwrite(None, [{"name": "another", "type": 1, "description": "Something else."}])
    await expect(screen.options).to_have_text(["/anotherSomething else.Anima"])


async def test_the_members_show_whether_the_bot_is_there(stage: SpecimenStage, screen: Screen) -> None:
    bot = screen.page.locator("#members .member", has_text="APP")
    await expect(bot).to_contain_text("online")
    await stage.stop()
    await expect(bot).to_contain_text("offline")
    stage.bot = type(stage.bot)()
    await stage.start()
    await expect(bot).to_contain_text("online")


async def test_moderators_and_authors_delete_messages(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await stage.discord.say(world.emi, world.general, "of Emi")
    await screen.messages.first.hover()
    await screen.last.locator(".more").click()
    await expect(screen.page.get_by_role("menuitem", name="Delete message")).to_have_count(0)
    await screen.press("Escape")
    await screen.switch_to(world.bob, world.general)
    await screen.choose_message_command(screen.last, "Delete message")
    await expect(screen.messages).to_have_count(0)
    assert stage.discord.messages_in(world.general) == []


async def test_the_language_reaches_the_bot(stage: SpecimenStage, screen: Screen) -> None:
    await screen.page.get_by_label("Language").select_option(label="日本語")
    await until(lambda: stage.discord.world.alice.locale == "ja")
    await screen.ask(stage, lambda i: i.response.send_message(f"locale {i.locale}"))
    await expect(screen.last).to_contain_text("locale ja")
