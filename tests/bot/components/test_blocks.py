"""Who is blocked has nothing drawn, by whatever button, form or command; what is their own stays theirs."""

from __future__ import annotations

from typing import Any

import pytest
from discord import AppCommandType, app_commands, ui

from bot.components.base import AnimaInteraction, Component
from bot.messages.layout import StaticLayout
from storage.schema import JobState
from tests.bot.harness import Stage

REFUSAL = "You can't draw here at the moment"
#: The commands that draw; every other one is open to people who are blocked.
DRAWING = {"anima imagine", "anima compare", "Anima: draw again"}


async def block(stage: Stage) -> None:
    guild = stage.general.guild
    await stage.database.servers.block(guild.id, stage.alice.id, by=stage.bob.id)


class DrawsByItself(Component, template=r"test:draws"):
    """A new button whose author has not thought of people who are blocked."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.send_message("A picture.")


async def test_a_new_button_is_closed_to_blocked_users_by_default(stage: Stage) -> None:
    stage.client.add_dynamic_items(DrawsByItself)
    button: ui.Button[Any] = ui.Button(label="Draw", custom_id="test:draws")
    channel = stage.client.get_partial_messageable(stage.general.id)
    sent = await channel.send(view=StaticLayout(ui.ActionRow(button)))
    message = stage.discord.messages.get(sent.id)
    assert message is not None
    await block(stage)
    answer = await (await stage.press(message, "Draw")).response()
    assert REFUSAL in answer.text and answer.is_ephemeral
    assert (await (await stage.press(message, "Draw", stage.bob)).response()).text == "A picture."


@pytest.mark.parametrize("label", ["Re-roll", "Vary", "Upscale", "Edit…", "Vary (subtle)"])
async def test_drawing_buttons_are_closed_to_blocked_users(stage: Stage, label: str) -> None:
    _, message = await stage.draw("1girl")
    await block(stage)
    pressed = await (stage.press_more if label == "Vary (subtle)" else stage.press)(message, label)
    answer = await pressed.response()
    assert REFUSAL in answer.text and answer.is_ephemeral
    assert len(stage.engine.requests) == 1


async def test_an_open_form_does_not_draw_for_a_user_blocked_meanwhile(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    modal = await (await stage.press(message, "Edit…")).modal()
    await block(stage)
    sent = await stage.discord.submit(stage.alice, modal, {"Prompt": "2girls"})
    assert REFUSAL in (await sent.response()).text
    assert len(stage.engine.requests) == 1


async def test_blocked_users_can_still_cancel_look_up_and_delete_their_own(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    stage.engine.hold()
    waiting = await stage.in_state((await stage.ask("waits")).id, JobState.RUNNING)
    await block(stage)
    for command in ("history", "quota", "queue", "privacy", "help", "preferences"):
        assert REFUSAL not in (await stage.answer(command)).text
    assert "How it was made" in (await (await stage.press_more(message, "Info")).response()).text
    assert "Delete this picture for everyone" in (await (await stage.press_more(message, "Delete")).response()).text
    shown = stage.discord.messages.get(waiting.message_id)
    assert shown is not None
    await stage.press(shown, "Cancel")
    await stage.in_state(waiting.id, JobState.CANCELLED)


async def test_only_drawing_commands_are_closed_to_blocked_users(stage: Stage) -> None:
    tree = stage.client.tree
    found = [
        *(each for each in tree.walk_commands() if not isinstance(each, app_commands.Group)),
        *tree.get_commands(type=AppCommandType.message),
    ]
    closed = {each.qualified_name for each in found if not each.extras.get("open_to_blocked")}
    assert closed == DRAWING
