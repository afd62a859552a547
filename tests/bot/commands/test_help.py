"""`/anima help`: every page fits, is one choice away, and is right about what it names."""

from __future__ import annotations

import re

from bot.commands.help import FIRST, PAGES, written
from bot.messages.buttons import LABELS, NUMBERED
from bot.prompting.miniature import EXAMPLES
from bot.prompting.prompt_rules import RECOMMENDED_NEGATIVE
from inference.request import SAMPLERS, SCHEDULERS
from tests.bot.harness import Stage, until


async def test_every_page_is_one_choice_away(stage: Stage) -> None:
    message = await stage.answer("help")
    assert message.is_ephemeral and written(FIRST) in message.text
    for page in reversed(PAGES):
        await (await stage.discord.choose(stage.alice, message, "anima:help", [page])).acknowledged()
        assert written(page) in stage.discord.current(message).text


async def test_the_menu_works_after_a_restart(stage: Stage) -> None:
    message = await stage.answer("help")
    await stage.restart()
    await (await stage.discord.choose(stage.alice, message, "anima:help", ["weights"])).acknowledged()
    assert written("weights") in stage.discord.current(message).text


def test_named_samplers_and_schedulers_exist() -> None:
    named = set(re.findall(r"`(\w+)`", written("samplers")))
    assert named and named <= {*SAMPLERS, *SCHEDULERS}


def test_the_negative_prompt_shown_is_the_bots_own() -> None:
    assert RECOMMENDED_NEGATIVE in written("negative")


async def test_every_command_it_names_is_registered(stage: Stage) -> None:
    commands = stage.discord.commands.visible_in(stage.general.guild.id)
    [anima] = [command for command in commands if command["name"] == "anima"]
    registered = {f"/anima {option['name']}" for option in anima["options"]}
    registered |= {command["name"] for command in commands}
    assert set(re.findall(r"`(/anima \w+)`|\*(Anima: \w+)\*", written("commands")))
    for slash, menu in re.findall(r"`(/anima \w+)`|\*(Anima: \w+)\*", written("commands")):
        assert (slash or menu) in registered


async def test_the_miniature_has_examples_to_click_on(stage: Stage) -> None:
    stage.client.has_miniature = True
    message = await stage.answer("help")
    assert "the small model that comes with it" in message.text
    assert [each["label"] for each in message.inputs() if "label" in each] == list(EXAMPLES)
    await stage.restart()
    sent = await stage.press(message, EXAMPLES[1])
    await sent.acknowledged()
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    assert (job.prompt, job.kind, job.private) == (EXAMPLES[1], "imagine", False)


async def test_other_models_have_no_examples(stage: Stage) -> None:
    message = await stage.answer("help")
    assert "the small model" not in message.text
    assert [each["custom_id"] for each in message.inputs()] == ["anima:help"]


def test_every_button_under_a_picture_is_explained() -> None:
    page = written("buttons")
    numbered = [label.format(number=1) for label in NUMBERED.values()]
    internal = {"alone", "delete-for-good", "pan-left", "pan-right", "pan-up", "pan-down"}
    internal |= {"share-anyway", "gallery-again"}
    for label in [*numbered, *(LABELS[action] for action in LABELS if action not in internal)]:
        assert f"**{label}**" in page
