"""Whatever goes wrong in an answer, the person gets a sentence; real discord.py client, real stand-in."""

from typing import Any

import pytest
from discord import ui

from bot.components.base import AnimaInteraction, Component, Modal
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from storage.backend.errors import StorageUnavailable
from tests.bot.harness import Stage


def button(label: str, custom_id: str) -> ui.Button[Any]:
    return ui.Button(label=label, custom_id=custom_id)


class Faulty(Component, template=r"test:faulty:([0-9]{1,18})"):
    def __init__(self, item: ui.Item[Any], error: int) -> None:
        super().__init__(item)
        self.error = error

    async def on_use(self, interaction: AnimaInteraction) -> None:
        raise StorageUnavailable("busy") if self.error else RuntimeError("a bug")


class FaultyForm(Modal):
    name = "test:faulty-form"

    async def on_values(self, interaction: AnimaInteraction, values: Any) -> None:
        raise RuntimeError("a bug")


class OpensForm(Component, template=r"test:form"):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        field: ui.Label[Any] = ui.Label(text="Words", component=ui.TextInput(custom_id="words:7"))
        await interaction.response.send_modal(FaultyForm("Words", [field]))


async def shown(stage: Stage, *items: ui.Item[Any]) -> Any:
    """A message of the bot's with these items."""
    channel = stage.client.get_partial_messageable(stage.general.id)
    row: ui.ActionRow[Any] = ui.ActionRow(*items)
    sent = await channel.send(view=StaticLayout(row))
    return stage.discord.messages.get(sent.id)


@pytest.mark.parametrize(
    ("error", "sentence"), [(0, "went wrong on my side"), (1, "database isn't available right now")]
)
async def test_a_failing_button_answers_its_user(stage: Stage, error: int, sentence: str) -> None:
    stage.client.add_dynamic_items(Faulty)
    pressed = await stage.press(await shown(stage, button("Fail", f"test:faulty:{error}")), "Fail")
    answer = await pressed.response()
    assert sentence in answer.content
    assert answer.is_ephemeral


async def test_a_form_that_fails_answers_even_if_it_was_opened_before_a_restart(stage: Stage) -> None:
    stage.client.add_dynamic_items(OpensForm)
    message = await shown(stage, button("Open", "test:form"))
    modal = await (await stage.press(message, "Open")).modal()
    await stage.restart()
    stage.client.add_view(FaultyForm())
    sent = await stage.discord.submit(stage.alice, modal, {"Words": "smile"})
    assert "went wrong on my side" in (await sent.response()).content


async def test_a_form_sent_during_the_shutdown_is_not_started(stage: Stage) -> None:
    stage.client.add_dynamic_items(OpensForm)
    modal = await (await stage.press(await shown(stage, button("Open", "test:form")), "Open")).modal()
    stage.client.interactions.close()
    sent = await stage.discord.submit(stage.alice, modal, {"Words": "smile"})
    answer = await sent.response()
    assert answer.is_ephemeral and "will be back in a moment" in answer.content


async def test_a_failing_command_answers_its_user(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(stage.database.quotas, "usage", broken)
    interaction = await stage.slash("quota")
    await interaction.acknowledged()
    assert "went wrong on my side" in (await interaction.followup()).content


class ReplyingButton(Component, template=r"test:answers"):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer(thinking=True)
        await reply_privately(interaction, "Only for you.")


async def test_a_public_answer_with_nothing_in_it_yet_is_taken_back(stage: Stage) -> None:
    stage.client.add_dynamic_items(ReplyingButton)
    message = await shown(stage, button("Answer", "test:answers"))
    pressed = await stage.press(message, "Answer")
    told = await pressed.followup()
    assert told.content == "Only for you."
    assert told.is_ephemeral
    assert stage.discord.messages_in(stage.general, stage.bob) == [message]


async def test_an_acknowledgement_whose_answer_was_lost_twice_is_still_answered(stage: Stage) -> None:
    stage.discord.faults.drop("POST", "^/interactions/", when="after", times=2)
    interaction = await stage.slash("imagine", prompt="1girl")
    assert "went wrong on my side" in (await interaction.response()).content
    assert await stage.database.jobs.by_interaction(interaction.id) is None


async def test_a_refused_user_is_notified_even_if_the_empty_answer_was_deleted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deleted_meanwhile(_: ReplyingButton, interaction: AnimaInteraction) -> None:
        await interaction.response.defer(thinking=True)
        await interaction.delete_original_response()
        await reply_privately(interaction, "Only for you.")

    monkeypatch.setattr(ReplyingButton, "on_use", deleted_meanwhile)
    stage.client.add_dynamic_items(ReplyingButton)
    pressed = await stage.press(await shown(stage, button("Answer", "test:answers")), "Answer")
    assert (await pressed.followup()).content == "Only for you."
