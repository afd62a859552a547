"""Nothing of the page covers anything else of it: enlarged pictures, the buttons at messages, at each width."""

from __future__ import annotations

import io
from typing import Any

import discord
import pytest
from discord import ui
from playwright.async_api import BrowserContext, expect

from bot.sandbox import Upload
from tests.bot.sandbox.conftest import SpecimenStage, png

from .conftest import new_tab, shown

pytestmark = pytest.mark.asyncio(loop_scope="session")

ON_THE_PHONE = {"width": 380, "height": 760}


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 800}, ON_THE_PHONE])
async def test_an_enlarged_picture_is_not_covered_and_its_link_is_whole(
    stage: SpecimenStage, window: BrowserContext, viewport: Any
) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        file = discord.File(io.BytesIO(png(512, 512)), "a.png", description="a long description, " * 45)
        await interaction.response.send_message(file=file)

    await shown(stage, answer)
    screen = await new_tab(window, stage.discord.page_url, viewport)
    await screen.open(stage.discord.world.alice, stage.discord.world.general)
    await screen.last.locator(".image").press("Enter")
    dialog = screen.page.locator("dialog.lightbox")
    close, link = screen.button("Close", dialog), dialog.get_by_role("link", name="Open in a new tab")
    await expect(close).to_be_focused()
    picture, button = await dialog.locator("img").bounding_box(), await close.bounding_box()
    assert picture is not None and button is not None
    assert button["y"] + button["height"] <= picture["y"]
    await expect(dialog.locator("img")).to_be_in_viewport(ratio=1)
    await screen.press("Shift+Tab")
    await expect(link).to_be_focused()
    await expect(link).to_be_in_viewport(ratio=1)
    box, frame = await link.bounding_box(), await dialog.bounding_box()
    assert box is not None and frame is not None
    assert box["x"] - frame["x"] >= 4 and box["y"] - frame["y"] >= 4
    await dialog.evaluate("(dialog) => (dialog.scrollTop = dialog.scrollHeight)")
    await expect(close).to_be_in_viewport(ratio=1)
    end = await dialog.locator("p").bounding_box()
    assert end is not None and end["y"] + end["height"] <= viewport["height"]
    await screen.page.close()


async def test_nothing_is_covered_by_the_button_for_more_on_a_phone(
    stage: SpecimenStage, window: BrowserContext
) -> None:
    world = stage.discord.world
    for _ in range(2):
        await stage.discord.say(world.bob, world.general, "wide " * 100, [Upload("a.png", png(512, 512))])
    for _ in range(2):
        view = ui.LayoutView(timeout=None)
        view.add_item(ui.Section("beside " * 20, accessory=ui.Thumbnail("attachment://a.png")))
        file = discord.File(io.BytesIO(png()), "a.png")
        await stage.bot.get_partial_messageable(world.general.id).send(view=view, file=file)
    screen = await new_tab(window, stage.discord.page_url, ON_THE_PHONE)
    await screen.open(world.alice, world.general)
    await expect(screen.messages).to_have_count(4)
    await expect(screen.page.locator(".message.continued")).to_have_count(2)
    covered = await screen.page.evaluate(
        """() => [...document.querySelectorAll(".message")].flatMap((message) => {
            const button = message.querySelector(".more").getBoundingClientRect();
            const range = document.createRange();
            return [...document.querySelectorAll("#messages :is(img, .avatar, .text, .author)")]
                .flatMap((part) => {
                    range.selectNodeContents(part);
                    return part.matches(".text") ? [...range.getClientRects()] : [part.getBoundingClientRect()];
                })
                .filter((box) => box.right > button.left && box.left < button.right
                    && box.bottom > button.top + 1 && box.top < button.bottom - 1)
                .map((box) => `${message.id}: ${Math.round(box.x)} ${Math.round(box.y)} over ${Math.round(button.y)}`);
        })"""
    )
    assert covered == []
    await screen.page.close()


async def test_the_members_are_behind_a_picture_of_people(stage: SpecimenStage, window: BrowserContext) -> None:
    screen = await new_tab(window, stage.discord.page_url, ON_THE_PHONE)
    await screen.open(stage.discord.world.alice, stage.discord.world.general)
    await expect(screen.button("Members").locator("svg")).to_be_visible()
    await screen.page.close()
