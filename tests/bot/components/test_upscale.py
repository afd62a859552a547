"""An upscale uses its source image, even if that is deleted meanwhile."""

from __future__ import annotations

import pytest

from bot.sandbox import Message
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage, until


async def upscaled(stage: Stage, message: Message) -> Job:
    """The job of an upscale that waits behind another one."""
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    sent = await stage.press(message, "Upscale")
    return await until(lambda: stage.database.jobs.by_interaction(sent.id))


@pytest.mark.parametrize("how", ["message", "button", "erased from history"])
async def test_an_upscale_survives_the_deletion_of_its_source(stage: Stage, how: str) -> None:
    source, message = await stage.draw("1girl")
    job = await upscaled(stage, message)
    if how == "message":
        stage.discord.delete_message(message)
    elif how == "button":
        question = await (await stage.press(message, "Delete")).response()
        await (await stage.press(question, "Delete for everyone")).response()
    else:
        await stage.database.images.delete([each.id for each in await stage.database.images.of_job(source.id)])
    stage.engine.let_go()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    shown = stage.discord.messages.get(job.message_id)
    assert shown is not None and shown.attachments
    assert stage.engine.requests[-1].image is not None
    larger, smaller = stage.engine.requests[-1], stage.engine.requests[0]
    assert larger.width > smaller.width


async def test_an_upscale_can_be_drawn_again_when_its_source_is_gone(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    job = await upscaled(stage, message)
    stage.engine.let_go()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    stage.discord.delete_message(message)
    shown = stage.discord.messages.get(job.message_id)
    assert shown is not None
    sent = await stage.press(shown, "Re-roll")
    again = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    await stage.in_state(again.id, JobState.DELIVERED)
    assert stage.engine.requests[-1].image is not None
