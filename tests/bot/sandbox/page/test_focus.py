"""Where the focus goes and what of the conversation is in view, while messages come and change."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import discord
import pytest
from discord import ui
from playwright.async_api import BrowserContext, Locator, expect

from tests.bot.sandbox.conftest import SpecimenStage, png

from .conftest import Screen, new_tab, shown, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ON_THE_PHONE = {"width": 380, "height": 760}


class LabelledButtons(ui.View):
    """A row of buttons, each of which does what the test wants."""

    def __init__(self, on_press: Callable[[discord.Interaction], Any], *labels: str) -> None:
        super().__init__(timeout=None)
        for label in labels:
            button: ui.Button[Any] = ui.Button(label=label, custom_id=label)
            button.callback = on_press  # type: ignore[method-assign]
            self.add_item(button)


async def answer_privately(interaction: discord.Interaction) -> None:
    await interaction.response.send_message(
        "only you", view=LabelledButtons(answer_privately, "Info", "Extend…"), ephemeral=True
    )


def panel(on_press: Callable[[discord.Interaction], Any]) -> Callable[[discord.Interaction], Any]:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("press", view=LabelledButtons(on_press, "More…", "Delete"))

    return answer


async def test_tab_goes_from_a_button_into_its_private_answer(stage: SpecimenStage, screen: Screen) -> None:
    await shown(stage, panel(answer_privately))
    await screen.button("More…").press("Enter")
    await expect(screen.last).to_contain_text("only you")
    await expect(screen.button("More…")).to_be_focused()
    await screen.press("Tab")
    await expect(screen.button("Info")).to_be_focused()
    await screen.button("More…").focus()
    await screen.press("Tab")
    await expect(screen.button("Delete")).to_be_focused()


async def test_tab_goes_into_the_private_answer_to_a_form(stage: SpecimenStage, screen: Screen) -> None:
    class NameForm(ui.Modal, title="A form"):
        name = ui.TextInput(label="Name", default="Anima")

        async def on_submit(self, interaction: discord.Interaction) -> None:
            await answer_privately(interaction)

    await shown(stage, panel(lambda i: i.response.send_modal(NameForm())))
    await screen.button("More…").press("Enter")
    await expect(screen.modal.get_by_label("Name")).to_be_focused()
    await screen.press("Enter")
    await expect(screen.last).to_contain_text("only you")
    await expect(screen.modal).to_have_count(0)
    await expect(screen.button("More…")).to_be_focused()
    await screen.press("Tab")
    await expect(screen.button("Info")).to_be_focused()


async def test_a_closed_form_takes_the_focus_from_nobody(stage: SpecimenStage, screen: Screen) -> None:
    class UnfilledForm(ui.Modal, title="A form"):
        name = ui.TextInput(label="Name")

    await shown(stage, panel(lambda i: i.response.send_modal(UnfilledForm())))
    await screen.button("More…").press("Enter")
    await expect(screen.modal.get_by_label("Name")).to_be_focused()
    # The browser says that a dialog is closed a moment later.
    await screen.page.evaluate(
        "document.querySelector('dialog.modal').close(); document.querySelector('#text').focus()"
    )
    await expect(screen.modal).to_have_count(0)
    await expect(screen.text).to_be_focused()


async def test_who_went_on_typing_is_left_alone(stage: SpecimenStage, screen: Screen) -> None:
    async def later(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        stage.bot.seen.append(interaction)

    await shown(stage, panel(later))
    await screen.button("More…").click()
    await until(lambda: stage.bot.seen)
    await screen.text.fill("typing on")
    await stage.bot.seen[0].edit_original_response(content="done", view=LabelledButtons(answer_privately, "Info"))
    await expect(screen.last).to_contain_text("done")
    await expect(screen.text).to_be_focused()
    await screen.press("Tab")
    await expect(screen.button("Send message")).to_be_focused()


async def test_tab_goes_from_the_last_button_to_the_next_message(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("for all")

    await shown(stage, panel(answer))
    await screen.button("Delete").press("Enter")
    await expect(screen.last).to_contain_text("for all")
    await screen.press("Tab")
    await expect(screen.last.locator(".more")).to_be_focused()


async def test_dismissing_keeps_its_focus_when_the_answer_comes(stage: SpecimenStage, screen: Screen) -> None:
    async def later(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        stage.bot.seen.append(interaction)

    await shown(stage, later)
    await screen.button("Dismiss message").focus()
    file = discord.File(io.BytesIO(png()), "a.png")
    await stage.bot.seen[0].edit_original_response(
        content="done", attachments=[file], view=LabelledButtons(later, "Info")
    )
    await expect(screen.button("Info")).to_be_visible()
    await expect(screen.button("Dismiss message")).to_be_focused()


async def conversation(stage: SpecimenStage, count: int = 40) -> None:
    for number in range(count):
        await stage.discord.say(stage.discord.world.bob, stage.discord.world.general, f"message {number}\nof two lines")


def scrolled_up(screen: Screen) -> Locator:
    return screen.button("New messages ↓")


@pytest.mark.parametrize(("up", "is_own", "is_followed"), [(300, True, True), (300, False, False), (900, True, False)])
async def test_ones_own_results_are_followed_from_one_screen_above_the_end(
    stage: SpecimenStage, screen: Screen, up: int, is_own: bool, is_followed: bool
) -> None:
    world = stage.discord.world
    await conversation(stage)
    await expect(screen.messages).to_have_count(40)
    await screen.page.locator("#scroller").evaluate("(scroller, up) => (scroller.scrollTop -= up)", up)
    user = world.alice if is_own else world.bob
    stage.bot.answer = lambda i: i.response.send_message("the result")
    interaction = await stage.discord.slash(user, world.general, "specimen")
    await interaction.acknowledged()
    await expect(screen.last).to_contain_text("the result")
    if is_followed:
        await expect(screen.last).to_be_in_viewport(ratio=1)
        await expect(scrolled_up(screen)).to_be_hidden()
    else:
        await expect(screen.last).not_to_be_in_viewport()
        await expect(scrolled_up(screen)).to_be_visible()


async def test_the_focus_goes_to_the_conversation_with_its_end(stage: SpecimenStage, screen: Screen) -> None:
    await conversation(stage)
    await expect(screen.messages).to_have_count(40)
    await screen.page.locator("#scroller").evaluate("(scroller) => (scroller.scrollTop = 0)")
    await conversation(stage, 1)
    await scrolled_up(screen).press("Enter")
    await expect(screen.page.locator("#scroller")).to_be_focused()


async def test_the_focus_goes_to_the_message_field_when_a_file_is_taken_out(
    stage: SpecimenStage, screen: Screen
) -> None:
    await screen.page.locator("#files").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"})
    await screen.button("Remove a.txt").press("Enter")
    await expect(screen.button("Remove a.txt")).to_have_count(0)
    await expect(screen.text).to_be_focused()


async def test_what_tab_reaches_is_in_view_with_its_frame(stage: SpecimenStage, window: BrowserContext) -> None:
    async def answer(interaction: discord.Interaction) -> None:
        view = LabelledButtons(answer_privately, "More…")
        view.add_item(ui.Select(custom_id="s", placeholder="Sampler", options=[discord.SelectOption(label="Euler")]))
        await interaction.response.send_message("choose", view=view)

    for _ in range(12):
        await shown(stage, answer)
    screen = await new_tab(window, stage.discord.page_url, ON_THE_PHONE)
    await screen.open(stage.discord.world.alice, stage.discord.world.general)
    await expect(screen.messages).to_have_count(12)
    await screen.button("Attach files").focus()
    for key, count in (("Shift+Tab", 40), ("Tab", 30)):
        for _ in range(count):
            await screen.press(key)
            cut = await screen.page.evaluate(
                """() => {
                    const focused = document.activeElement;
                    const frame = document.getElementById("scroller").getBoundingClientRect();
                    const box = focused.getBoundingClientRect();
                    const isIn = focused.closest("#messages");
                    return isIn && (box.top < frame.top + 4 || box.bottom > frame.bottom - 4) && focused.outerHTML;
                }"""
            )
            assert not cut
    await screen.page.close()
