"""`/anima help`: every page fits, is one choice away, and is right about what it names."""

from __future__ import annotations

import re

from bot.commands.help import FIRST, PAGES, written
from bot.prompting.prompt_rules import RECOMMENDED_NEGATIVE
from inference.request import SAMPLERS, SCHEDULERS
from tests.bot.harness import Stage


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


def test_samplers_and_schedulers_are_named_as_they_are_called() -> None:
    named = set(re.findall(r"`(\w+)`", written("samplers")))
    assert named and named <= {*SAMPLERS, *SCHEDULERS}


def test_the_negative_prompt_is_the_one_of_the_house() -> None:
    assert RECOMMENDED_NEGATIVE in written("negative")


async def test_every_command_it_names_is_registered(stage: Stage) -> None:
    commands = stage.discord.commands.visible_in(stage.general.guild.id)
    [anima] = [command for command in commands if command["name"] == "anima"]
    registered = {f"/anima {option['name']}" for option in anima["options"]}
    registered |= {command["name"] for command in commands}
    assert set(re.findall(r"`(/anima \w+)`|\*(Anima: \w+)\*", written("commands")))
    for slash, menu in re.findall(r"`(/anima \w+)`|\*(Anima: \w+)\*", written("commands")):
        assert (slash or menu) in registered
