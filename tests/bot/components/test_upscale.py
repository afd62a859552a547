"""An upscale uses its source image, even if that is deleted meanwhile; what is too large for one pass goes in tiles."""

from __future__ import annotations

import pytest

from bot.generation.spec import JobSpec
from bot.rules.server_settings import ServerLimits, ServerSettings
from bot.sandbox import Message
from storage.jobs import Job
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage


async def upscaled(stage: Stage, message: Message) -> Job:
    """The job of an upscale that waits behind another one."""
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    return await stage.job_of(await stage.press(message, "Upscale"))


@pytest.mark.parametrize("how", ["message", "button", "erased from history"])
async def test_an_upscale_survives_the_deletion_of_its_source(stage: Stage, how: str) -> None:
    source, message = await stage.draw("1girl")
    job = await upscaled(stage, message)
    if how == "message":
        stage.discord.delete_message(message)
    elif how == "button":
        question = await (await stage.press_more(message, "Delete")).response()
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
    await stage.delivered(await stage.press(shown, "Re-roll"))
    assert stage.engine.requests[-1].image is not None


async def enlarge(stage: Stage, message: Message) -> tuple[Job, Message]:
    return await stage.delivered(await stage.press(message, "Upscale"))


async def allow_upscales(stage: Stage, times_native: float) -> None:
    limits = ServerLimits(upscaled_times_native=times_native)
    changes = ServerSettings().changes_to(ServerSettings(limits=limits))
    await stage.database.servers.change(stage.general.guild.id, changes, by=stage.bob.id)


async def test_an_upscale_of_an_upscale_is_drawn_in_tiles_and_so_on_up_to_the_servers_limit(stage: Stage) -> None:
    await allow_upscales(stage, 8.0)
    first, message = await stage.draw("1girl", seed="300")
    sizes = []
    for _ in range(3):
        job, message = await enlarge(stage, message)
        sizes.append((job.cost / first.cost, JobSpec.of(job).recipes[0].tiles))
    drawn = [(each.width, each.tiled, each.denoise) for each in stage.engine.requests[1:]]
    assert drawn == [(96, False, 0.35), (144, True, 0.2), (176, True, 0.2)]
    assert sizes == [(2.25, 1), (9, 9), (16, 16)]
    refused = await stage.press(message, "Upscale")
    assert "already at the maximum size" in (await refused.followup()).text


async def test_variations_of_a_tiled_upscale_use_tiles_too_even_after_a_restart(stage: Stage) -> None:
    _, message = await stage.draw("1girl", seed="300")
    for _ in range(2):
        _, message = await enlarge(stage, message)
    tiled = stage.engine.requests[-1]
    assert tiled.tiled
    await stage.restart()
    for label in ("Re-roll", "Vary"):
        await stage.delivered(await stage.press(message, label))
        request = stage.engine.requests[-1]
        assert (request.width, request.tiled, request.denoise) == (tiled.width, True, tiled.denoise)
        assert request.image is not None


async def test_info_names_the_tiles_and_the_picture_that_was_enlarged(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    once, message = await enlarge(stage, message)
    _, message = await enlarge(stage, message)
    assert "[upscaled]" in message.text and f"/{once.message_id}" in message.text
    text = (await (await stage.press_more(message, "Info")).response()).text
    assert "**Tiles** 9, each 64x64, overlapping" in text
    assert (
        f"upscale of [a picture](https://discord.com/channels/{once.guild_id}/{once.channel_id}/{once.message_id})"
        in text
    )


async def test_an_edit_of_a_tiled_upscale_in_another_size_obeys_the_limits_of_other_pictures(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    for _ in range(2):
        _, message = await enlarge(stage, message)
    for size, is_drawn in (("144x144", True), ("136x144", False)):
        modal = await (await stage.press(message, "Edit…")).modal()
        sent = await stage.discord.submit(stage.alice, modal, {"Size, steps, CFG, scheduler": size})
        if is_drawn:
            await stage.delivered(sent)
            assert stage.engine.requests[-1].tiled
        else:
            assert "is too large" in (await sent.followup()).text


async def test_a_tiled_upscale_can_be_cancelled_and_is_refunded(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    _, message = await enlarge(stage, message)
    account = Account(stage.alice.id, stage.general.guild.id)
    spent = (await stage.database.quotas.usage(account)).spent
    stage.engine.hold()
    job = await stage.job_of(await stage.press(message, "Upscale"))
    job = await stage.in_state(job.id, JobState.RUNNING)
    shown = stage.discord.messages.get(job.message_id)
    assert shown is not None
    await stage.press(shown, "Cancel")
    await stage.in_state(job.id, JobState.CANCELLED)
    stage.engine.let_go()
    assert (await stage.database.quotas.usage(account)).spent == spent
