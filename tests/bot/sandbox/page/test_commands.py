"""Slash commands: found, filled in and sent as in Discord's client; and the commands in menus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from bot.sandbox.model import interactions
from bot.sandbox.model.commands import SLASH
from tests.bot.sandbox.conftest import SpecimenStage, png

from .conftest import Screen, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_slash_opens_the_commands_that_the_bot_registered(stage: SpecimenStage, screen: Screen) -> None:
    await screen.type("/")
    await expect(screen.options).to_have_text(
        ["/anima imagineDraws a picture.Anima", "/specimenDoes what the test says.Anima"]
    )
    await expect(screen.text).to_have_attribute("aria-expanded", "true")
    await screen.type("spec")
    await expect(screen.options).to_have_count(1)
    await screen.press("Escape")
    await expect(screen.options).to_have_count(0)
    await expect(screen.text).to_have_value("/spec")


async def test_the_arrows_go_through_the_list_and_the_screen_reader_is_notified(screen: Screen) -> None:
    await screen.type("/")
    for key, index in (("ArrowDown", 1), ("ArrowDown", 0), ("ArrowUp", 1)):
        await screen.press(key)
        active = await screen.options.nth(index).get_attribute("id")
        await expect(screen.text).to_have_attribute("aria-activedescendant", str(active))


async def test_required_options_are_asked_first_and_must_be_there(stage: SpecimenStage, screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    prompt = screen.option_field("prompt")
    await expect(prompt).to_be_focused()
    await expect(screen.page.locator(".more-options")).to_have_attribute("placeholder", "+9 optional")
    await screen.press("Enter")
    await expect(screen.page.locator("#panel [role=alert]")).to_have_text(
        "prompt: This option is required. Specify a value."
    )
    await expect(prompt).to_have_attribute("aria-invalid", "true")
    await expect(prompt).to_be_focused()
    assert stage.bot.seen == []


async def test_every_kind_of_option_is_filled_in_by_keyboard(
    stage: SpecimenStage, screen: Screen, tmp_path: Path
) -> None:
    world = stage.discord.world
    await screen.pick_command("anima imagine")
    await screen.type("1girl")
    await screen.press("Tab")
    for option, typed in (("steps", "12"), ("cfg", "5.5"), ("hidden", "tr"), ("friend", "bo"), ("where", "gal")):
        await screen.type(option)
        await screen.press("Tab")
        await expect(screen.option_field(option)).to_be_focused()
        await screen.type(typed)
        await screen.press("Tab")
    for option, typed in (("role", "mod"), ("size", "port")):
        await screen.type(option)
        await screen.press("Enter")
        await screen.type(typed)
        await screen.press("Enter")
    picture = tmp_path / "source.png"
    picture.write_bytes(png())
    await screen.type("source")
    await screen.press("Tab")
    await screen.option_field("source").set_input_files(picture)
    await expect(screen.page.locator(".command-form .chip")).to_contain_text("source.png")
    await screen.page.locator(".more-options").focus()
    await screen.press("Enter")
    await until(lambda: stage.bot.seen)
    prompt, steps, cfg, hidden, source, friend, where, role, size, lora = stage.bot.seen[-1]
    assert (prompt, steps, cfg, hidden, size.value, lora) == ("1girl", 12, 5.5, True, 1, "")
    assert (friend.id, where.id, role.id) == (world.bob.id, world.gallery.id, world.moderator.id)
    assert source.filename == "source.png" and source.size == len(png())
    await expect(screen.text).to_be_focused()


@pytest.mark.parametrize(
    ("option", "typed", "complaint"),
    [
        ("steps", "61", "steps: Enter a number: 1 to 60."),
        ("steps", "2.5", "steps: Enter a whole number."),
        ("cfg", "much", "cfg: Enter a number."),
        ("friend", "nobody", "friend: Choose one from the list."),
        ("size", "huge", "size: Choose one from the list."),
        ("hidden", "perhaps", "hidden: Choose one from the list."),
    ],
)
async def test_invalid_values_are_not_sent(
    stage: SpecimenStage, screen: Screen, option: str, typed: str, complaint: str
) -> None:
    await screen.pick_command("anima imagine")
    await screen.type("1girl")
    await screen.press("Tab")
    await screen.type(option)
    await screen.press("Tab")
    await screen.type(typed)
    await screen.press("Enter")
    await expect(screen.page.locator("#panel [role=alert]")).to_have_text(complaint)
    await expect(screen.option_field(option)).to_be_focused()
    assert stage.bot.seen == []


async def test_a_text_may_be_as_long_as_the_command_says(stage: SpecimenStage, screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    await expect(screen.page.locator(".panel-about")).to_contain_text("1 to 50 characters")
    await screen.option_field("prompt").fill("🎨" * 51)
    await screen.press("Enter")
    await expect(screen.page.locator("#panel [role=alert]")).to_contain_text("This has 51")
    await screen.option_field("prompt").fill("🎨" * 50)
    await screen.press("Enter")
    await until(lambda: stage.bot.seen)


async def test_completion_asks_while_one_types_with_what_is_known_already(stage: SpecimenStage, screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    await screen.type("a girl")
    await screen.press("Tab")
    await screen.type("lora")
    await screen.press("Tab")
    await expect(screen.options).to_have_text(["turbo", "tundra", "sketch"])
    asked = len(stage.bot.seen)
    # All at once, because a busy machine takes its time between two keys.
    await screen.page.evaluate("[...'tun'].forEach((key) => document.execCommand('insertText', false, key))")
    await expect(screen.options).to_have_text(["tundra"])
    assert stage.bot.seen[asked:] == ["a girl"], "three keys in a row are one question"
    await screen.press("ArrowDown", "Enter", "Enter")
    await until(lambda: isinstance(stage.bot.seen[-1], tuple))
    assert stage.bot.seen[-1][-1] == "tundra"


async def test_completed_options_take_what_was_typed_too(stage: SpecimenStage, screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    await screen.type("a girl")
    await screen.press("Tab")
    await screen.type("lora")
    await screen.press("Tab")
    await screen.type("nothing like it")
    await expect(screen.page.locator(".panel-about")).to_contain_text("No options match your search.")
    await screen.press("Enter")
    await until(lambda: isinstance(stage.bot.seen[-1], tuple))
    assert stage.bot.seen[-1][-1] == "nothing like it"


async def test_backspace_takes_back_step_by_step(screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    await screen.press("Tab")
    await screen.type("steps")
    await screen.press("Tab")
    await expect(screen.option_field("steps")).to_be_focused()
    await screen.press("Backspace")
    await expect(screen.option_field("steps")).to_have_count(0)
    await expect(screen.option_field("prompt")).to_be_focused()
    await screen.press("Backspace")
    await expect(screen.text).to_be_focused()
    await expect(screen.text).to_have_value("/")
    await expect(screen.options).to_have_count(2)


@pytest.mark.parametrize("keys", [["Escape"], ["Tab", "Tab", "Escape"], ["Tab", "Escape", "Escape"]])
async def test_escape_gives_the_command_up(screen: Screen, keys: list[str]) -> None:
    await screen.pick_command("anima imagine")
    await screen.press(*keys)
    await expect(screen.page.locator(".command-form")).to_have_count(0)
    await expect(screen.text).to_be_focused()
    await expect(screen.text).to_have_value("")


async def test_a_command_that_is_pasted_whole_is_taken_apart(stage: SpecimenStage, screen: Screen) -> None:
    await screen.text.fill("/anima imagine a cat")
    await expect(screen.option_field("prompt")).to_have_value("a cat")
    await screen.press("Enter")
    await until(lambda: stage.bot.seen)
    assert stage.bot.seen[0][0] == "a cat"


async def test_options_of_a_pasted_command_are_filled_in_by_their_names(stage: SpecimenStage, screen: Screen) -> None:
    await screen.text.fill(
        "/anima imagine prompt:a cat: on a mat size:portrait steps:12 hidden:true lora:a: b friend:Bob"
    )
    await expect(screen.option_field("prompt")).to_have_value("a cat: on a mat")
    await expect(screen.option_field("friend")).to_have_value("Bob")
    await screen.press("Enter")
    await until(lambda: stage.bot.seen)
    prompt, steps, _, hidden, _, friend, _, _, size, lora = stage.bot.seen[-1]
    assert (prompt, steps, hidden, size.value, lora) == ("a cat: on a mat", 12, True, 1, "a: b")
    assert friend.id == stage.discord.world.bob.id


async def test_the_first_option_needs_no_name_and_a_name_counts_once(stage: SpecimenStage, screen: Screen) -> None:
    await screen.text.fill("/anima imagine a cat steps:12 lora:a steps:13")
    await expect(screen.option_field("prompt")).to_have_value("a cat")
    await expect(screen.option_field("lora")).to_have_value("a steps:13")
    await expect(screen.option_field("steps")).to_have_value("12")
    await expect(screen.page.locator(".more-options")).to_be_focused()


async def test_options_missing_in_a_pasted_command_are_asked_for(screen: Screen) -> None:
    await screen.text.fill("/anima imagine steps:12")
    await expect(screen.option_field("steps")).to_have_value("12")
    await expect(screen.option_field("prompt")).to_be_focused()


async def test_a_name_typed_into_another_option_begins_its_own(stage: SpecimenStage, screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    await screen.type("re:zero, a cat steps:12 cfg:5.5")
    await expect(screen.option_field("prompt")).to_have_value("re:zero, a cat")
    await expect(screen.option_field("cfg")).to_be_focused()
    await screen.press("Enter")
    await until(lambda: stage.bot.seen)
    assert stage.bot.seen[-1][:3] == ("re:zero, a cat", 12, 5.5)


async def test_options_pasted_into_the_first_one_or_behind_the_last_are_spread(screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    await screen.page.keyboard.insert_text("prompt:a cat steps:12")
    await expect(screen.option_field("prompt")).to_have_value("a cat")
    await expect(screen.option_field("steps")).to_be_focused()
    await screen.page.locator(".more-options").focus()
    await screen.page.keyboard.insert_text("cfg:4 hidden:false")
    await expect(screen.option_field("cfg")).to_have_value("4")
    await expect(screen.option_field("hidden")).to_have_value("False")


async def test_a_mention_of_a_command_begins_it(stage: SpecimenStage, screen: Screen) -> None:
    await stage.discord.say(stage.discord.world.bob, stage.discord.world.general, "try </anima imagine:1>")
    await screen.button("/anima imagine", screen.last).click()
    await expect(screen.option_field("prompt")).to_be_focused()


async def test_a_file_that_is_dropped_goes_to_the_option_for_it(stage: SpecimenStage, screen: Screen) -> None:
    await screen.pick_command("anima imagine")
    await screen.type("x")
    await screen.page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["abc"], "dropped.txt"));
            document.getElementById("main").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    await expect(screen.page.locator(".option-field", has_text="source").locator(".chip")).to_contain_text(
        "dropped.txt"
    )
    await screen.option_field("prompt").press("Enter")
    await until(lambda: stage.bot.seen)
    assert stage.bot.seen[0][4].filename == "dropped.txt"


async def test_names_and_descriptions_are_in_the_language_of_the_user(stage: SpecimenStage, screen: Screen) -> None:
    await screen.page.get_by_label("Language").select_option("ja")
    await until(lambda: stage.discord.world.alice.locale == "ja")
    definition: dict[str, Any] = {"name": "draw", "type": SLASH, "description": "Draws."}
    definition |= {"name_localizations": {"ja": "描く"}, "description_localizations": {"ja": "絵を描きます"}}
    option: dict[str, Any] = {"type": 3, "name": "size", "description": "How large", "required": True}
    option |= {"name_localizations": {"ja": "大きさ"}, "description_localizations": {"ja": "絵の大きさ"}}
    option["choices"] = [{"name": "tall", "name_localizations": {"ja": "縦長"}, "value": "tall"}]
    stage.discord.commands.overwrite(None, [definition | {"options": [option]}])
    await screen.text.fill("/描")
    await expect(screen.options).to_have_text(["/描く絵を描きますAnima"])
    await screen.press("Enter")
    await expect(screen.page.locator(".panel-about")).to_have_text("大きさ 絵の大きさ")
    await expect(screen.options).to_have_text(["縦長"])
    await screen.press("ArrowDown", "Enter", "Enter")
    await until(lambda: any(i.kind == "interaction_create" for i in stage.discord.events.history))
    [sent] = [e.interaction for e in stage.discord.events.history if e.kind == "interaction_create"]
    assert sent is not None and sent.data["options"] == [{"name": "size", "type": 3, "value": "tall"}]


async def test_a_bot_that_does_not_answer_in_three_seconds(stage: SpecimenStage, screen: Screen) -> None:
    async def answer(interaction: object) -> None:
        """Says nothing."""

    stage.bot.answer = answer
    await screen.pick_command("specimen")
    await screen.press("Enter")
    await expect(screen.page.locator(".note")).to_have_text("Sending command /specimen…")
    stage.discord.clock.turn(interactions.DEADLINE + 0.01)
    note = screen.page.locator(".note")
    await expect(note).to_contain_text("/specimen: The application did not respond")
    await screen.button("Dismiss", note).click()
    await expect(note).to_have_count(0)


async def test_the_menu_of_a_message_has_the_commands_for_it(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await stage.discord.say(world.bob, world.general, "a word")
    await screen.choose_message_command(screen.last, "Parameters")
    await expect(screen.last).to_contain_text("about a word")
    await expect(screen.last).to_contain_text("Only you can see this")
    await screen.messages.first.click(button="right")
    items = screen.page.get_by_role("menuitem")
    await expect(items).to_have_text(["Parameters", "Copy text", "Copy message ID"])
    await screen.press("ArrowDown", "ArrowUp", "Enter")
    await expect(screen.messages).to_have_count(3)


async def test_the_menu_of_a_user_has_the_commands_for_one(stage: SpecimenStage, screen: Screen) -> None:
    await screen.page.locator("#members .member", has_text="Bob").click(button="right")
    await screen.page.get_by_role("menuitem", name="Portrait").click()
    await expect(screen.last).to_contain_text("of bob, 2")
    await expect(screen.last.locator(".context")).to_have_text("AAlice used Portrait")
    await screen.page.locator("#members .member", has_text="Bob").press("Enter")
    await expect(screen.page.get_by_role("menuitem").first).to_be_focused()
    await screen.press("Escape")
    await expect(screen.page.locator("#members .member", has_text="Bob")).to_be_focused()
