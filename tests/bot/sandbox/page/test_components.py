"""Buttons, select menus and forms: pressed, chosen and filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import discord
import pytest
from discord import ui
from playwright.async_api import Browser, expect

from bot.sandbox.model import interactions
from tests.bot.sandbox.conftest import Answer, SpecimenStage

from .conftest import Screen, new_screen, shown, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class ButtonPanel(ui.View):
    """Buttons of every kind; what is pressed is written down and answered as the test wants."""

    def __init__(self, stage: SpecimenStage, answer: Answer) -> None:
        super().__init__(timeout=None)
        for style in ("primary", "secondary", "success", "danger"):
            button: ui.Button[Any] = ui.Button(
                label=style, style=discord.ButtonStyle[style], custom_id=style, emoji="🎲"
            )
            button.callback = answer  # type: ignore[method-assign]
            self.add_item(button)
        self.add_item(ui.Button(label="off", custom_id="off", disabled=True))
        self.add_item(ui.Button(label="docs", url="https://example.com"))


async def test_a_button_says_what_it_is_and_works(stage: SpecimenStage, screen: Screen) -> None:
    async def on_press(interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content=f"pressed {interaction.data['custom_id']}")  # type: ignore[index,typeddict-item]

    await shown(stage, lambda i: i.response.send_message("press", view=ButtonPanel(stage, on_press)))
    row = screen.last.locator(".row").first
    await expect(row.locator(".button")).to_have_text(["🎲primary", "🎲secondary", "🎲success", "🎲danger", "off"])
    await expect(screen.last.get_by_role("button", name="off")).to_be_disabled()
    await expect(screen.last.get_by_role("link", name="docs")).to_have_attribute("href", "https://example.com/")
    await screen.last.get_by_role("button", name="success").click()
    await expect(screen.last).to_contain_text("pressed success")


async def test_the_focus_stays_on_a_button_whose_message_changes(stage: SpecimenStage, screen: Screen) -> None:
    async def on_press(interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content="changed")

    await shown(stage, lambda i: i.response.send_message("press", view=ButtonPanel(stage, on_press)))
    button = screen.last.get_by_role("button", name="danger")
    await button.press("Enter")
    await expect(screen.last).to_contain_text("changed")
    await expect(button).to_be_focused()


async def test_a_press_that_is_not_answered_in_three_seconds_failed(stage: SpecimenStage, screen: Screen) -> None:
    async def on_press(interaction: discord.Interaction) -> None:
        """Says nothing."""

    await shown(stage, lambda i: i.response.send_message("press", view=ButtonPanel(stage, on_press)))
    button = screen.last.get_by_role("button", name="primary")
    await button.click()
    await expect(button).to_have_attribute("aria-busy", "true")
    stage.discord.clock.turn(interactions.DEADLINE / 2)
    await expect(button).to_have_attribute("aria-busy", "true")
    stage.discord.clock.turn(interactions.DEADLINE / 2 + 0.1)
    await expect(screen.last.locator(".problem")).to_have_text("This interaction failed")
    await expect(button).not_to_have_attribute("aria-busy", "true")


class Menus(ui.View):
    """One select menu of every kind; what is chosen is written down."""

    def __init__(self, stage: SpecimenStage) -> None:
        super().__init__(timeout=None)
        sampler: ui.Select[Any] = ui.Select(
            custom_id="sampler",
            placeholder="Samplers",
            max_values=2,
            options=[
                discord.SelectOption(label=name, description=f"about {name}") for name in ("Euler", "Heun", "DPM")
            ],
        )
        kinds: list[Any] = [sampler]
        for kind, name in ((ui.UserSelect, "Who"), (ui.RoleSelect, "Which role"), (ui.MentionableSelect, "Anyone")):
            kinds.append(kind(custom_id=name, placeholder=name))
        kinds.append(ui.ChannelSelect(custom_id="where", placeholder="Where", channel_types=[discord.ChannelType.text]))
        for select in kinds:
            select.callback = self.chosen(stage, select)
            self.add_item(select)

    def chosen(self, stage: SpecimenStage, select: Any) -> Any:
        async def callback(interaction: discord.Interaction) -> None:
            stage.bot.seen.append([str(value) for value in select.values])
            await interaction.response.defer()

        return callback


async def choose_one(screen: Screen, menu: str, typed: str) -> None:
    await screen.button(menu, screen.last).press("ArrowDown")
    await screen.type(typed)
    await screen.press("Enter")


async def test_select_menus_offer_what_there_is(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await shown(stage, lambda i: i.response.send_message("choose", view=Menus(stage)))
    for menu, typed, chosen in (
        ("Who", "bo", "bob"),
        ("Which role", "mod", "moderator"),
        ("Anyone", "olivia", "olivia"),
        ("Where", "gal", "gallery"),
    ):
        before = len(stage.bot.seen)
        await choose_one(screen, menu, typed)
        await until(lambda before=before: len(stage.bot.seen) > before)
        assert stage.bot.seen[-1] == [chosen]
    await screen.button("Where: gallery", screen.last).click()
    await expect(screen.options).to_have_text(["#general", "#gallery", "#after-dark"])
    await screen.press("Escape")
    await screen.switch_to(world.bob, world.general)
    await screen.button("Where", screen.last).click()
    await expect(screen.options).to_have_text(["#general", "#gallery", "#after-dark", "#staff"])


async def test_several_values_are_sent_when_done(stage: SpecimenStage, screen: Screen) -> None:
    await shown(stage, lambda i: i.response.send_message("choose", view=Menus(stage)))
    menu = screen.button("Samplers", screen.last)
    await menu.press("Enter")
    await screen.press("Enter", "ArrowDown", "Enter", "ArrowDown", "Enter")
    await expect(screen.page.locator(".select-note")).to_have_text("Choose 1 to 2 (2 chosen).")
    await expect(screen.options.first).to_have_attribute("aria-selected", "true")
    assert stage.bot.seen == []
    await screen.button("Done").click()
    await until(lambda: stage.bot.seen)
    assert sorted(stage.bot.seen[0]) == ["Euler", "Heun"]
    await expect(screen.button("Samplers: Euler, Heun", screen.last)).to_be_focused()


async def test_a_menu_at_the_end_of_the_screen_opens_within_it(stage: SpecimenStage, screen: Screen) -> None:
    await shown(stage, lambda i: i.response.send_message("choose", view=Menus(stage)))
    await screen.button("Where", screen.last).click()
    box = await screen.page.locator(".popup").bounding_box()
    assert box is not None and box["y"] > 0 and box["y"] + box["height"] <= 800
    await expect(screen.options.last).to_be_in_viewport(ratio=1)


def form(stage: SpecimenStage, *labels: ui.Label[Any]) -> Answer:
    class FormModal(ui.Modal):
        async def on_submit(self, interaction: discord.Interaction) -> None:
            stage.bot.seen.append([_value(label.component) for label in labels])
            await interaction.response.send_message("taken")

    async def answer(interaction: discord.Interaction) -> None:
        modal = FormModal(title="A form")
        modal.add_item(ui.TextDisplay("Some **words** first"))
        for label in labels:
            modal.add_item(label)
        await interaction.response.send_modal(modal)

    return answer


def _value(component: Any) -> Any:
    value = component.values if hasattr(component, "values") else component.value
    return [getattr(one, "name", getattr(one, "filename", one)) for one in value] if isinstance(value, list) else value


async def test_a_form_of_words_and_choices(stage: SpecimenStage, screen: Screen) -> None:
    options = [discord.SelectOption(label="Euler", default=True), discord.SelectOption(label="Heun")]
    radios = [discord.RadioGroupOption(label="Tall", value="t"), discord.RadioGroupOption(label="Wide", value="w")]
    await screen.ask(
        stage,
        form(
            stage,
            ui.Label(text="Prompt", description="What to draw", component=ui.TextInput(default="1girl")),
            ui.Label(text="Notes", component=ui.TextInput(style=discord.TextStyle.paragraph, required=False)),
            ui.Label(text="Sampler", component=ui.Select(options=options)),
            ui.Label(text="Shape", component=ui.RadioGroup(options=radios)),
        ),
    )
    await expect(screen.modal.get_by_role("heading")).to_have_text("A form")
    await expect(screen.modal.locator("strong")).to_have_text("words")
    prompt = screen.modal.get_by_label("Prompt")
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_value("1girl")
    await expect(prompt).to_have_accessible_description("What to draw")
    await prompt.fill("2girls")
    await screen.modal.get_by_label("Notes").fill("line one\nline two")
    await screen.modal.locator(".select").click()
    await screen.options.filter(has_text="Heun").click()
    await screen.modal.get_by_label("Wide").check()
    await screen.button("Submit").click()
    await expect(screen.last).to_contain_text("taken")
    await expect(screen.modal).to_have_count(0)
    assert stage.bot.seen == [["2girls", "line one\nline two", ["Heun"], "w"]]


async def test_a_form_of_boxes_files_and_people(stage: SpecimenStage, screen: Screen, tmp_path: Path) -> None:
    boxes = [discord.CheckboxGroupOption(label=name, value=name, default=name == "B") for name in ("A", "B", "C")]
    await screen.ask(
        stage,
        form(
            stage,
            ui.Label(text="Extras", component=ui.CheckboxGroup(options=boxes)),
            ui.Label(text="Hidden", component=ui.Checkbox()),
            ui.Label(text="Sources", component=ui.FileUpload(max_values=2)),
            ui.Label(text="Who", component=ui.UserSelect()),
        ),
    )
    await screen.modal.get_by_label("C", exact=True).check()
    await screen.modal.get_by_label("Hidden").check()
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text("x")
    await screen.modal.locator("input[type=file]").set_input_files(files)
    await screen.modal.locator(".select").click()
    await screen.options.filter(has_text="Bob").click()
    await screen.button("Submit").click()
    await expect(screen.last).to_contain_text("taken")
    assert stage.bot.seen == [[["B", "C"], True, ["a.txt", "b.txt"], ["bob"]]]


async def test_a_form_that_is_not_filled_in_says_so_and_stays(stage: SpecimenStage, screen: Screen) -> None:
    await screen.ask(stage, form(stage, ui.Label(text="Prompt", component=ui.TextInput(min_length=3))))
    await expect(screen.modal.get_by_label("Prompt")).to_be_focused()
    await screen.type("ab")
    await screen.press("Enter")
    await expect(screen.modal.get_by_role("alert")).to_have_text("'Prompt' takes 3 to 4000 characters, not 2.")
    await screen.type("c")
    await screen.press("Enter")
    await expect(screen.last).to_contain_text("taken")
    assert stage.bot.seen == [["abc"]]


async def test_a_form_that_the_bot_does_not_take_in_time_stays_with_what_was_typed(
    stage: SpecimenStage, screen: Screen
) -> None:
    class Silent(ui.Modal, title="Silent"):
        name = ui.TextInput(label="Name", custom_id="name")

        async def on_submit(self, interaction: discord.Interaction) -> None:
            """Says nothing."""

    await screen.ask(stage, lambda i: i.response.send_modal(Silent()))
    await expect(screen.modal.get_by_label("Name")).to_be_focused()
    await screen.type("Anima")
    await screen.press("Enter")
    await until(lambda: len([e for e in stage.discord.events.history if e.kind == "interaction_create"]) == 2)
    stage.discord.clock.turn(interactions.DEADLINE + 0.1)
    await expect(screen.modal.get_by_role("alert")).to_have_text("Something went wrong. Try again.")
    await expect(screen.modal.get_by_label("Name")).to_have_value("Anima")


async def test_a_form_can_be_left_and_the_focus_goes_back(stage: SpecimenStage, screen: Screen) -> None:
    async def on_press(interaction: discord.Interaction) -> None:
        await form(stage, ui.Label(text="Prompt", component=ui.TextInput()))(interaction)

    await shown(stage, lambda i: i.response.send_message("press", view=ButtonPanel(stage, on_press)))
    button = screen.last.get_by_role("button", name="primary")
    await button.press("Enter")
    await expect(screen.modal.get_by_label("Prompt")).to_be_focused()
    await screen.press("Escape")
    await expect(screen.modal).to_have_count(0)
    await expect(button).to_be_focused()


async def test_a_form_opens_in_the_tab_where_it_was_asked_for(
    stage: SpecimenStage, screen: Screen, browser: Browser
) -> None:
    world = stage.discord.world
    other = await new_screen(browser, stage.discord.page_url)
    await other.open(world.alice, world.general)
    await screen.ask(stage, form(stage, ui.Label(text="Prompt", component=ui.TextInput())))
    await expect(screen.modal).to_be_visible()
    await stage.discord.say(world.bob, world.general, "by now the other tab has heard of it")
    await expect(other.last).to_contain_text("by now")
    await expect(other.modal).to_have_count(0)
    await other.page.context.close()
