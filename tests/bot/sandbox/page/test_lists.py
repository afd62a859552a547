"""The open list of a select menu: where it is, how it is left, and what it does to what is around it."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import discord
import pytest
from discord import ui
from playwright.async_api import BrowserContext, FloatRect, Locator, expect

from tests.bot.sandbox.conftest import Answer, SpecimenStage, png

from .conftest import Screen, new_tab, shown, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CELLS = [f"{column}{row}" for row in range(1, 6) for column in "ABCDE"]


class CellGrid(ui.LayoutView):
    """A picture, under it a menu to choose several of its cells from, and a button."""

    def __init__(self, stage: SpecimenStage) -> None:
        super().__init__(timeout=None)
        self.add_item(ui.TextDisplay("Choose the cells."))
        self.add_item(ui.MediaGallery(discord.MediaGalleryItem("attachment://grid.png")))
        options = [discord.SelectOption(label=cell) for cell in CELLS]
        cells: ui.Select[Any] = ui.Select(custom_id="cells", placeholder="Cells…", max_values=25, options=options)
        button: ui.Button[Any] = ui.Button(label="Redraw", custom_id="redraw")

        async def chosen(interaction: discord.Interaction) -> None:
            stage.bot.seen.append(cells.values)
            for option in options:
                option.default = option.label in cells.values
            await interaction.response.edit_message(view=self)

        async def pressed(interaction: discord.Interaction) -> None:
            stage.bot.seen.append("pressed")
            await interaction.response.defer()

        cells.callback = chosen  # type: ignore[method-assign]
        button.callback = pressed  # type: ignore[method-assign]
        self.add_item(ui.ActionRow(cells))
        self.add_item(ui.ActionRow(button))


def grid(stage: SpecimenStage) -> Answer:
    async def answer(interaction: discord.Interaction) -> None:
        file = discord.File(io.BytesIO(png(256, 256)), "grid.png")
        await interaction.response.send_message(view=CellGrid(stage), file=file)

    return answer


async def box_of(element: Locator) -> FloatRect:
    while (box := await element.bounding_box()) is None:  # its message is being drawn again
        await asyncio.sleep(0.02)
    return box


async def open_at(width: int, height: int, stage: SpecimenStage, window: BrowserContext) -> Screen:
    screen = await new_tab(window, stage.discord.page_url, {"width": width, "height": height})
    await screen.open(stage.discord.world.alice, stage.discord.world.general)
    return screen


def field(screen: Screen) -> Locator:
    return screen.messages.locator(".select")


def popup(screen: Screen) -> Locator:
    return screen.page.locator(".popup")


@pytest.mark.parametrize("leave", ["Escape", "outside", "field", "Tab", "Shift+Tab"])
async def test_what_was_chosen_is_kept_however_the_list_is_left(
    stage: SpecimenStage, screen: Screen, leave: str
) -> None:
    await shown(stage, grid(stage))
    await field(screen).press("Enter")
    await screen.press("Enter", "ArrowDown", "Enter")
    if leave == "outside":
        await screen.page.locator("#channel-title").click()
    elif leave == "field":
        await field(screen).click()
    elif leave == "Tab":
        await screen.press("Tab", "Tab")
    else:
        await screen.press(leave)
    await expect(popup(screen)).to_have_count(0)
    await until(lambda: stage.bot.seen)
    assert stage.bot.seen == [["A1", "B1"]]
    focused = {
        "Tab": screen.button("Redraw"),
        "Shift+Tab": screen.messages.locator(".image"),
        "field": field(screen),
        "Escape": field(screen),
    }
    if leave in focused:
        await expect(focused[leave]).to_be_focused()


async def test_leaving_a_list_without_a_change_sends_nothing(stage: SpecimenStage, screen: Screen) -> None:
    await shown(stage, grid(stage))
    await field(screen).press("Enter")
    await screen.press("Enter", "Enter", "Escape")
    await expect(popup(screen)).to_have_count(0)
    await screen.button("Redraw").click()
    await until(lambda: stage.bot.seen)
    assert stage.bot.seen == ["pressed"]


async def test_a_press_elsewhere_leaves_the_list_and_still_counts(stage: SpecimenStage, screen: Screen) -> None:
    await stage.discord.say(stage.discord.world.bob, stage.discord.world.general, "\n".join("long" for _ in range(30)))
    await shown(stage, grid(stage))
    await field(screen).click()
    await screen.options.first.click()
    await screen.button("More actions for the message from Anima", screen.last).click()
    await expect(screen.page.get_by_role("menu")).to_be_visible()
    await expect(screen.page.locator(".select-popup")).to_have_count(0)
    await until(lambda: stage.bot.seen)
    assert stage.bot.seen == [["A1"]]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (380, 760)])
@pytest.mark.parametrize("before", [0, 30])
async def test_a_list_does_not_cover_the_picture_above_its_field(
    stage: SpecimenStage, window: BrowserContext, width: int, height: int, before: int
) -> None:
    for number in range(before):
        await stage.discord.say(stage.discord.world.bob, stage.discord.world.general, f"message {number}")
    await shown(stage, grid(stage))
    screen = await open_at(width, height, stage, window)
    at = await box_of(field(screen))
    await field(screen).press("Enter")
    await expect(screen.options).to_have_count(25)
    list_, moved, picture = (
        await box_of(popup(screen)),
        await box_of(field(screen)),
        await box_of(screen.messages.locator(".image")),
    )
    assert 0 <= list_["y"] - (moved["y"] + moved["height"]) <= 6
    assert list_["y"] + list_["height"] <= height and 200 <= list_["height"] <= 320
    header = await box_of(screen.page.locator("#header"))
    assert picture["y"] >= header["y"] + header["height"]
    await expect(screen.button("Done")).to_be_in_viewport(ratio=1)
    await screen.press("Escape")
    assert (await box_of(field(screen)))["y"] == at["y"]
    await screen.page.close()


async def test_a_list_above_its_field_stays_there_while_it_is_filtered(
    stage: SpecimenStage, window: BrowserContext
) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        modal = ui.Modal(title="A form")
        for name in ("One", "Two", "Three"):
            modal.add_item(ui.Label(text=name, component=ui.TextInput(required=False)))
        options = [discord.SelectOption(label=cell) for cell in CELLS]
        modal.add_item(ui.Label(text="Cells", component=ui.Select(max_values=25, options=options)))
        await interaction.response.send_modal(modal)

    screen = await open_at(1280, 620, stage, window)
    await screen.ask(stage, answer)
    await screen.modal.locator(".select").click()
    for typed, count in (("", 25), ("E5", 1)):
        await screen.type(typed)
        await expect(screen.options).to_have_count(count)
        list_, at = await box_of(popup(screen)), await box_of(screen.modal.locator(".select"))
        assert list_["y"] >= 0 and 0 <= at["y"] - (list_["y"] + list_["height"]) <= 6
    await screen.page.close()


async def test_a_list_stays_at_its_field_when_the_conversation_moves(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await stage.discord.say(world.bob, world.general, "\n".join("long" for _ in range(30)))
    await shown(stage, grid(stage))
    await field(screen).press("Enter")
    await stage.discord.say(world.bob, world.general, "one more\nand another line")
    await expect(screen.last).to_contain_text("one more")
    list_, at = await box_of(popup(screen)), await box_of(field(screen))
    assert 0 <= list_["y"] - (at["y"] + at["height"]) <= 6


async def test_tab_goes_from_the_search_to_done(stage: SpecimenStage, screen: Screen) -> None:
    await shown(stage, grid(stage))
    await field(screen).press("Enter")
    await screen.press("Enter", "Tab")
    await expect(screen.button("Done")).to_be_focused()
    await screen.press("Shift+Tab")
    await expect(screen.page.locator(".select-filter")).to_be_focused()


async def test_suggestions_above_the_message_field_are_no_stop_of_their_own(
    stage: SpecimenStage, screen: Screen
) -> None:
    await screen.pick_command("anima imagine")
    await screen.type("1girl")
    await screen.press("Tab")
    await expect(screen.options).to_have_count(9)
    await screen.page.locator("#panel .listbox").evaluate("(list) => (list.style.maxHeight = '40px')")
    await screen.press("Shift+Tab", "Shift+Tab")
    assert await screen.page.evaluate("document.activeElement.role") != "listbox"


@pytest.mark.parametrize("where", ["above the end", "at the end"])
async def test_the_field_stays_in_view_when_its_message_changes(
    stage: SpecimenStage, window: BrowserContext, where: str
) -> None:
    world = stage.discord.world
    screen = await open_at(380, 760, stage, window)
    await shown(stage, grid(stage))
    if where == "above the end":
        await stage.discord.say(world.bob, world.general, "\n".join("long" for _ in range(26)))
        await expect(screen.last).to_contain_text("long")
    await screen.page.locator("#scroller").evaluate("(scroller) => (scroller.scrollTop -= 60)")
    await field(screen).press("Enter")
    await screen.press("Enter", "Tab", "Enter")
    await until(lambda: stage.bot.seen)
    await expect(screen.button("Cells…: A1", screen.messages.first)).to_be_focused()
    await in_view_with_its_frame(screen, field(screen))
    await screen.page.close()


async def in_view_with_its_frame(screen: Screen, control: Locator) -> None:
    box, frame = await box_of(control), await box_of(screen.page.locator("#scroller"))
    assert box["y"] >= frame["y"] + 4 and box["y"] + box["height"] <= frame["y"] + frame["height"] - 4
