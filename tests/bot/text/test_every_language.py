"""Whatever the bot shows fits into Discord in every language: the stand-in refuses what is too long as Discord does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.sandbox import User
from bot.sandbox.model.components import STRING_SELECT
from bot.text.languages import LANGUAGES
from tests.bot.harness import Stage


@pytest.fixture(params=LANGUAGES)
def reader(request: pytest.FixtureRequest, stage: Stage) -> User:
    """A moderator who reads one of the languages, in a server that is in it too."""
    world = stage.discord.world
    reader = replace(world.add_user("reader"), locale=request.param)
    world.users[reader.id] = reader
    world.guild.add_member(reader, world.moderator)
    world.guild.locale = request.param
    return reader


@pytest.fixture(autouse=True)
def _nothing_is_refused(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Discord's refusals are logged, and the user gets an error message."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_every_command_answers(stage: Stage, reader: User) -> None:
    for command in ("queue", "history", "quota", "privacy", "help", "preferences"):
        assert (await stage.answer(command, reader)).text


async def test_every_page_of_the_help_fits(stage: Stage, reader: User) -> None:
    shown = await stage.answer("help", reader)
    [pages] = [control for control in shown.inputs() if control["type"] == STRING_SELECT]
    for page in pages["options"]:
        sent = await stage.discord.choose(reader, shown, pages["custom_id"], (page["value"],))
        shown = await sent.response()
        assert shown.text


async def test_every_page_and_form_of_the_admin_panel_fits(stage: Stage, reader: User) -> None:
    panel = await (await stage.discord.slash(reader, stage.general, "anima-admin")).response()
    [pages] = [control for control in panel.inputs() if control["custom_id"] == "anima-admin:open"]
    for page in pages["options"]:
        sent = await stage.discord.choose(reader, panel, "anima-admin:open", (page["value"],))
        panel = await sent.response()
        assert panel.text
        for control in panel.inputs():
            if control["custom_id"].startswith("anima-admin:form-"):
                pressed = await stage.discord.press(reader, panel, custom_id=control["custom_id"])
                assert (await pressed.modal()).inputs()


async def test_every_form_of_the_preferences_fits(stage: Stage, reader: User) -> None:
    panel = await stage.answer("preferences", reader)
    forms = 0
    for control in panel.inputs():
        if control["custom_id"].startswith("anima:preferences:form:"):
            pressed = await stage.discord.press(reader, panel, custom_id=control["custom_id"])
            assert (await pressed.modal()).inputs()
            forms += 1
    assert forms == 3
    presets = await (await stage.discord.press(reader, panel, custom_id="anima:preferences:page:presets")).response()
    assert presets.text


async def test_a_picture_its_info_and_its_form_fit(stage: Stage, reader: User) -> None:
    _, message = await stage.draw("1girl, masterpice", reader, count=2)
    for control in message.inputs():
        action = control["custom_id"].split(":")[1]
        if action in ("info", "delete"):
            sent = await stage.discord.press(reader, message, custom_id=control["custom_id"])
            assert (await sent.response()).text
        elif action == "edit":
            pressed = await stage.discord.press(reader, message, custom_id=control["custom_id"])
            assert (await pressed.modal()).inputs()
