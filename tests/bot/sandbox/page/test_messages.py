"""Messages as the page shows them, while they come, change and go."""

from __future__ import annotations

import io
from typing import Any

import discord
import pytest
from discord import ui
from playwright.async_api import expect

from bot.sandbox import Upload
from tests.bot.sandbox.conftest import SpecimenStage, png

from .conftest import Screen, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")


def file(name: str, data: bytes | None = None) -> discord.File:
    return discord.File(io.BytesIO(png() if data is None else data), name)


async def test_messages_of_others_come_by_themselves(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await stage.discord.say(world.bob, world.general, "good **morning**")
    await expect(screen.last.locator(".author")).to_have_text("Bob")
    await expect(screen.last.locator("strong")).to_have_text("morning")
    await expect(screen.page.locator("#announcer")).to_have_text("Bob: good morning")


async def test_typed_messages_are_posted(stage: SpecimenStage, screen: Screen) -> None:
    await screen.text.fill("hello")
    await screen.press("Enter")
    await expect(screen.last).to_contain_text("hello")
    [message] = stage.discord.messages_in(stage.discord.world.general)
    assert (message.content, message.author) == ("hello", stage.discord.world.alice)
    await expect(screen.text).to_have_value("")


async def test_messages_close_together_share_one_heading(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    first = await stage.discord.say(world.bob, world.general, "one")
    await stage.discord.say(world.bob, world.general, "two")
    await stage.discord.say(world.alice, world.general, "three")
    await expect(screen.page.locator("#messages .author")).to_have_text(["Bob", "Alice"])
    stage.discord.delete_message(first)
    await expect(screen.page.locator("#messages .author")).to_have_text(["Bob", "Alice"])
    await expect(screen.messages).to_have_count(2)


async def test_an_edit_changes_the_message_where_it_stands(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("before")

    await shown(stage, answer)
    await stage.discord.say(stage.discord.world.bob, stage.discord.world.general, "last")
    await expect(screen.messages).to_have_count(2)
    message = stage.discord.messages_in(stage.discord.world.general)[0]
    channel = stage.bot.get_partial_messageable(message.channel.id)
    await channel.get_partial_message(message.id).edit(content="after")
    await expect(screen.messages.first).to_contain_text("after (edited)")
    await expect(screen.last).to_contain_text("last")


async def test_thinking_becomes_the_answer(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)
        stage.bot.seen.append(interaction)

    await shown(stage, answer)
    await expect(screen.last).to_contain_text("Anima is thinking…")
    await expect(screen.last.locator(".context")).to_have_text("AAlice used /specimen")
    await stage.bot.seen[0].edit_original_response(content="done")
    await expect(screen.last).to_contain_text("done")
    await expect(screen.last).not_to_contain_text("thinking")
    await expect(screen.page.locator("#announcer")).to_have_text("Anima: done")


async def test_pictures_files_and_spoilers(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    files = [Upload("a.png", png(64, 48)), Upload("SPOILER_b.png", png(64, 48)), Upload("notes.txt", b"12345")]
    await stage.discord.say(world.bob, world.general, "look", files)
    await expect(screen.last.locator(".file")).to_have_text("▤notes.txt5 bytes")
    pictures = screen.last.locator(".image img")
    await expect(pictures).to_have_count(2)
    await expect(pictures.first).to_have_js_property("naturalWidth", 64)
    hidden = screen.last.locator(".covered > .image")
    await expect(hidden).to_have_css("filter", "blur(40px) saturate(0.6)")
    await screen.button("Show spoiler", screen.last).click()
    await expect(hidden).to_have_css("filter", "none")
    await hidden.click()
    await expect(screen.page.locator("dialog.lightbox img")).to_be_visible()
    await screen.press("Escape")
    await expect(screen.page.locator("dialog.lightbox")).to_have_count(0)


async def test_a_spoiler_that_was_shown_stays_shown_through_an_edit(stage: SpecimenStage, screen: Screen) -> None:
    def layout(words: str) -> ui.LayoutView:
        view = ui.LayoutView(timeout=None)
        view.add_item(ui.TextDisplay(words))
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem("attachment://a.png", spoiler=True)))
        return view

    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message(view=layout("one"), file=file("a.png"))
        stage.bot.seen.append(interaction)

    await shown(stage, answer)
    await screen.button("Show spoiler").press("Enter")
    await expect(screen.last.locator(".image")).to_be_focused()
    await stage.bot.seen[0].edit_original_response(view=layout("two"))
    await expect(screen.last).to_contain_text("two")
    await expect(screen.button("Show spoiler")).to_have_count(0)


async def test_the_focus_stays_in_a_message_that_changes(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("one", file=file("a.png"))
        stage.bot.seen.append(interaction)

    await shown(stage, answer)
    picture = screen.last.locator(".image")
    await picture.focus()
    await stage.bot.seen[0].edit_original_response(content="two")
    await expect(screen.last).to_contain_text("two")
    await expect(picture).to_be_focused()


async def test_hidden_words_show_when_they_are_pressed(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await stage.discord.say(world.bob, world.general, "it was ||the butler||")
    words = screen.last.locator(".spoiler-words")
    await expect(words).to_have_css("visibility", "hidden")
    await screen.button("Show spoiler").press("Enter")
    await expect(words).to_have_css("visibility", "visible")


async def test_a_layout_of_components(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        view = ui.LayoutView(timeout=None)
        container: ui.Container[Any] = ui.Container(
            ui.TextDisplay("### Title\nwith *text*"),
            ui.Separator(),
            ui.Section("beside", accessory=ui.Button(label="Go", custom_id="go")),
            ui.Section(ui.TextDisplay("below"), accessory=ui.Thumbnail("attachment://a.png", description="tiny")),
            ui.MediaGallery(
                discord.MediaGalleryItem("attachment://a.png", description="a picture"),
                discord.MediaGalleryItem("attachment://b.png", spoiler=True),
            ),
            ui.File("attachment://notes.txt"),
            accent_color=0x33AA77,
        )
        view.add_item(container)
        await interaction.response.send_message(
            view=view, files=[file("a.png"), file("b.png"), file("notes.txt", b"12345")]
        )

    await shown(stage, answer)
    box = screen.last.locator(".container")
    await expect(box).to_have_css("border-left-color", "rgb(51, 170, 119)")
    await expect(box.locator(".heading-3")).to_have_text("Title")
    await expect(box.locator(".section").first.get_by_role("button")).to_have_text("Go")
    await expect(box.locator(".section img.thumbnail")).to_have_attribute("alt", "tiny")
    await expect(screen.button("Open the picture: a picture", box)).to_be_visible()
    await expect(screen.button("Show spoiler", box)).to_be_visible()
    await expect(box.get_by_role("link", name="notes.txt")).to_have_attribute("download", "notes.txt")
    await expect(box.locator("hr")).to_be_visible()


async def test_a_hidden_container(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        view = ui.LayoutView(timeout=None)
        view.add_item(ui.Container(ui.TextDisplay("the end of the story"), spoiler=True))
        await interaction.response.send_message(view=view)

    await shown(stage, answer)
    await expect(screen.last.locator(".container")).to_have_css("filter", "blur(40px) saturate(0.6)")
    await screen.button("Show spoiler").click()
    await expect(screen.last.locator(".container")).to_have_css("filter", "none")


async def test_an_embed(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        embed = discord.Embed(title="Title", description="some *words*", color=0xC2477F, url="https://example.com")
        embed.add_field(name="Seed", value="`7`").set_footer(text="the foot").set_author(name="an author")
        embed.set_image(url="attachment://a.png").set_thumbnail(url="https://example.com/elsewhere.png")
        await interaction.response.send_message(embed=embed, file=file("a.png"))

    await shown(stage, answer)
    embed = screen.last.locator(".embed")
    await expect(embed.locator(".embed-title a")).to_have_attribute("rel", "noopener noreferrer")
    await expect(embed.locator("dt")).to_have_text("Seed")
    await expect(embed.locator("dd code")).to_have_text("7")
    await expect(embed.locator(".embed-footer")).to_have_text("the foot")
    await expect(embed.locator(".image img")).to_have_js_property("naturalWidth", 8)
    await expect(embed.locator(".elsewhere")).to_contain_text("Not loaded because it is on another site")


async def test_an_ephemeral_answer_is_seen_by_its_user_until_dismissed(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await shown(stage, lambda i: i.response.send_message("between us", ephemeral=True))
    await expect(screen.last).to_contain_text("Only you can see this")
    await screen.switch_to(world.bob, world.general)
    await expect(screen.messages).to_have_count(0)
    await screen.switch_to(world.alice, world.general)
    await expect(screen.last).to_contain_text("between us")
    await screen.button("Dismiss message").click()
    await expect(screen.messages).to_have_count(0)
    await screen.switch_to(world.bob, world.general)
    await screen.switch_to(world.alice, world.general)
    await expect(screen.messages).to_have_count(0)


async def test_a_reply_names_what_it_answers_even_when_that_is_gone(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    original = await stage.discord.say(world.bob, world.general, "the question")
    channel = stage.bot.get_partial_messageable(world.general.id)
    await channel.get_partial_message(original.id).reply("the answer")
    await expect(screen.last.locator(".context")).to_have_text("Reply to: Bob the question")
    stage.discord.delete_message(original)
    await screen.page.reload()
    await expect(screen.last.locator(".context")).to_contain_text("Original message was deleted")


async def test_nothing_that_people_typed_becomes_markup(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg onload=alert(3)>"
    await screen.page.evaluate("() => { window.alert = () => { throw new Error('an alert') } }")
    await screen.text.fill(evil)
    await screen.press("Enter")
    await expect(screen.last.locator(".text")).to_have_text(evil)
    for name in ('"><img src=x onerror=alert(1)>.png', "<script>alert(1)</script>.txt", "javascript:alert(1).html"):
        await stage.discord.say(
            world.bob, world.general, f'[{name}](https://a.b/"onclick=alert(1))', [Upload(name, png())]
        )

    async def answer(interaction: discord.Interaction) -> None:
        embed = discord.Embed(title=evil, description=evil, url="https://example.com").add_field(name=evil, value=evil)
        view = ui.View(timeout=None)
        view.add_item(ui.Button(label=evil[:80], custom_id='"]<b>'))
        view.add_item(ui.Select(custom_id="s", placeholder=evil, options=[discord.SelectOption(label=evil[:100])]))
        await interaction.response.send_message(evil, embed=embed, view=view, file=file("x.png"))

    await shown(stage, answer)
    await expect(screen.last.locator(".embed-title")).to_have_text(evil)
    await expect(screen.messages).to_have_count(5)
    made = await screen.page.evaluate(
        "[...document.querySelectorAll('#messages *')].filter((e) => ['SCRIPT', 'SVG'].includes(e.tagName)"
        " || [...e.attributes].some((a) => a.name.startsWith('on')) || e.getAttribute('src') === 'x').length"
    )
    assert made == 0


async def test_the_page_cannot_create_markup_from_text(screen: Screen) -> None:
    refused = await screen.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch (error) { return error.name } }"
    )
    assert refused == "TypeError"
    screen.mistakes.clear()  # the browser reports what it refused


async def test_a_long_conversation_is_at_its_end_and_says_when_there_is_more(
    stage: SpecimenStage, screen: Screen
) -> None:
    world = stage.discord.world
    for number in range(40):
        await stage.discord.say(world.bob, world.general, f"message {number}")
    await expect(screen.last).to_be_in_viewport()
    await screen.page.locator("#scroller").evaluate("(scroller) => (scroller.scrollTop = 0)")
    await stage.discord.say(world.bob, world.general, "one more")
    await screen.button("New messages ↓").click()
    await expect(screen.last).to_be_in_viewport()


async def test_sending_something_scrolls_to_the_end(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    for number in range(40):
        await stage.discord.say(world.bob, world.general, f"message {number}")
    await expect(screen.last).to_be_in_viewport()
    scroll_up = "(scroller) => (scroller.scrollTop = 0)"
    await screen.page.locator("#scroller").evaluate(scroll_up)
    await screen.type("mine")
    await screen.press("Enter")
    await expect(screen.last).to_contain_text("mine")
    await expect(screen.last).to_be_in_viewport()
    await screen.page.locator("#scroller").evaluate(scroll_up)
    await screen.ask(stage, lambda i: i.response.send_message("the answer"))
    await expect(screen.last).to_contain_text("the answer")
    await expect(screen.last).to_be_in_viewport()


async def test_an_edit_of_a_message_that_is_not_shown_changes_nothing(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await shown(stage, lambda i: i.response.send_message("long ago"))
    await expect(screen.last).to_contain_text("long ago")
    for number in range(200):
        await stage.discord.say(world.bob, world.general, f"message {number}")
    await screen.page.reload()
    await expect(screen.messages).to_have_count(200)
    old = stage.discord.messages_in(world.general)[0]
    await stage.bot.get_partial_messageable(world.general.id).get_partial_message(old.id).edit(content="changed")
    await stage.discord.say(world.bob, world.general, "the end")
    await expect(screen.last).to_contain_text("the end")
    await expect(screen.messages).to_have_count(201)


async def test_the_sandbox_can_be_started_over_after_a_question(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    for channel in (world.general, world.gallery):
        await stage.discord.say(world.alice, channel, "old")
    screen.page.once("dialog", lambda dialog: dialog.dismiss())
    await screen.button("Start over").click()
    await expect(screen.messages).to_have_count(1)
    screen.page.once("dialog", lambda dialog: dialog.accept())
    await screen.button("Start over").click()
    await expect(screen.messages).to_have_count(0)
    assert stage.discord.messages.everywhere() == []
