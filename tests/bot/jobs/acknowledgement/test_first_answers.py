"""Discord takes the first answer to an interaction, and its own answer to that is lost."""

from __future__ import annotations

import asyncio

import pytest

from bot.components.images import NO_LONGER_SAVED
from bot.sandbox import InteractionHandle, Message
from bot.sandbox.model.messages import Body
from storage.schema import JobState
from tests.bot.harness import Stage, until

pytestmark = pytest.mark.parametrize("status", [500, 502, 504, None])


def lose(stage: Stage, status: int | None, times: int = 1) -> None:
    """Discord answers an error although it has taken what was sent; None: the connection is lost."""
    if status is None:
        stage.discord.faults.drop("POST", "^/interactions/", when="after", times=times)
    else:
        stage.discord.faults.answer("POST", "^/interactions/", status, when="after", times=times)


async def test_a_command_is_drawn_in_its_message(stage: Stage, status: int | None) -> None:
    lose(stage, status)
    sent = await stage.slash("imagine", prompt="1girl")
    job, message = await stage.delivered(sent)
    assert job.message_id == sent.interaction.original_id
    assert stage.discord.messages_in(stage.general, stage.alice) == [message]


async def test_a_private_command_stays_private(stage: Stage, status: int | None) -> None:
    lose(stage, status)
    job, message = await stage.delivered(await stage.slash("imagine", prompt="1girl", private=True))
    assert job.private and message.is_ephemeral


async def test_a_job_is_cancelled(stage: Stage, status: int | None) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)

    async def has_button() -> bool:
        return any(item["label"] == "Cancel" for item in stage.discord.messages.get(job.message_id).inputs())

    await until(has_button)
    lose(stage, status)
    await stage.press(stage.discord.messages.get(job.message_id), "Cancel")
    await stage.in_state(job.id, JobState.CANCELLED)


async def test_a_form_that_was_opened_is_not_explained_away(stage: Stage, status: int | None) -> None:
    _, message = await stage.draw("1girl")
    lose(stage, status)
    modal = await (await stage.press(message, "Edit…")).modal()
    drawn, _ = await stage.delivered(await stage.discord.submit(stage.alice, modal, {"Prompt": "1boy"}))
    assert drawn.prompt == "1boy"
    assert not any("went wrong" in each.text for each in stage.discord.messages_in(stage.general, stage.alice))


async def test_a_refusal_is_told_once(stage: Stage, status: int | None) -> None:
    _, message = await stage.draw("1girl")
    lose(stage, status)
    await (await pressed(stage, message)).acknowledged()

    async def refusals() -> list[str]:
        found = [each.text for each in stage.discord.messages_in(stage.general, stage.bob)]
        return [text for text in found if NO_LONGER_SAVED in text]

    assert len(await until(refusals)) == 1


async def pressed(stage: Stage, message: Message) -> InteractionHandle:
    """A button that names an image which is not there."""
    return await stage.press_forged(message, "anima:info:1:7", stage.bob)


async def test_what_another_process_has_answered_is_left_to_it(stage: Stage, status: int | None) -> None:
    """This one's first attempt failed, and meanwhile another one with the same token was quicker."""
    if status is None:
        stage.discord.faults.drop("POST", "^/interactions/", when="before")
    else:
        stage.discord.faults.answer("POST", "^/interactions/", status, when="before")
    other = stage.discord.faults.hold("POST", "^/interactions/", when="before")
    sent = await stage.slash("imagine", prompt="1girl")

    async def is_held() -> bool:
        return other.hits > 0

    await until(is_held)
    interaction = sent.interaction
    body = Body({"content": "Another one's."})
    stage.discord.interactions.respond(interaction.id, interaction.token, 4, body, interaction.sent_at)
    other.release()
    await asyncio.sleep(0.3)
    assert [each.text for each in stage.discord.messages_in(stage.general, stage.alice)] == ["Another one's."]
    assert await stage.database.jobs.by_interaction(sent.id) is None
