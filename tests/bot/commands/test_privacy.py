"""`/anima privacy`: a copy of everything for its owner alone; erasing after a question, with all that is on its way."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
from datetime import timedelta
from typing import Any

import discord
import pytest
from PIL import Image

from bot.commands import privacy
from bot.commands.privacy import KEPT, MORE_SOURCES, TOO_LARGE
from bot.jobs.delivery import outbox
from bot.sandbox import Message, Permissions, Upload
from storage.privacy import Erased
from storage.schema import JobState
from tests.bot.components.sharing.test_share import name_gallery, posts, share
from tests.bot.harness import Stage, interaction_tasks, until


async def press_and_read(stage: Stage, question: Message, label: str) -> Message:
    return await (await stage.press(question, label)).response()


async def test_a_copy_contains_only_the_users_own_data(stage: Stage) -> None:
    await stage.draw("1girl, smile")
    await stage.draw("bob's secret", stage.bob)
    message = await press_and_read(stage, await stage.answer("privacy"), "Send me a copy")
    assert message.is_ephemeral
    [file] = message.attachments
    assert file.filename == "anima.json"
    copy = json.loads(file.data)
    assert [job["prompt"] for job in copy["jobs"]] == ["1girl, smile"]
    assert len(copy["pictures"]) == len(copy["charges"]) == 1
    assert "secret" not in file.data.decode() and "interaction_token" not in file.data.decode()


def given(size: int, colour: str) -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return Upload("given.png", buffer.getvalue())


async def test_a_copy_contains_source_images(stage: Stage, monkeypatch) -> None:
    monkeypatch.setattr(privacy, "MAX_FILES", 2)
    await stage.draw("bob's", stage.bob, image=given(8, "grey"))
    drawn = [(await stage.draw("1girl", image=given(8, colour)))[0] for colour in ("red", "teal", "red", "navy")]
    pressed = await stage.press(await stage.answer("privacy"), "Send me a copy")
    sent = [await pressed.followup(number) for number in range(2)]
    assert all(message.is_ephemeral for message in sent)
    files = {file.filename: file.data for message in sent for file in message.attachments}
    assert files == {
        f"drawn-from-{job.id}.png": await stage.database.source_images.of_job(job.id)
        for job in (drawn[0], drawn[1], drawn[3])
    }


async def test_a_copy_names_images_too_large_to_send(stage: Stage, monkeypatch) -> None:
    await stage.draw("1girl", image=given(8, "red"))
    await stage.draw("1girl", image=given(500, "red"))
    monkeypatch.setattr(privacy, "_as_file", lambda _: discord.File(io.BytesIO(b"{}"), "anima.json"))
    monkeypatch.setattr(privacy, "MAX_FILE_SIZE", 500)
    pressed = await stage.press(await stage.answer("privacy"), "Send me a copy")
    assert len((await pressed.followup(0)).attachments) == 1
    assert (await pressed.followup(1)).text == TOO_LARGE


def test_a_large_copy_is_compressed_and_one_too_large_is_not_sent(monkeypatch) -> None:
    copy = {"jobs": [{"prompt": "1girl " * 1000}]}
    monkeypatch.setattr(privacy, "MAX_FILE_SIZE", 1000)
    file = privacy._as_file(copy)
    assert file is not None and file.filename == "anima.json.gz"
    assert json.loads(gzip.decompress(file.fp.read())) == copy
    assert privacy._as_file({"jobs": [{"prompt": random.Random(1).randbytes(2000).hex()}]}) is None


async def test_a_copy_too_large_for_discord_is_explained(stage: Stage, monkeypatch) -> None:
    monkeypatch.setattr(privacy, "MAX_FILE_SIZE", 10)
    assert (await press_and_read(stage, await stage.answer("privacy"), "Send me a copy")).text == TOO_LARGE


async def test_nothing_is_erased_before_the_question_is_answered(stage: Stage) -> None:
    await stage.draw("1girl")
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    kept = await stage.turned(question, "Keep everything")
    assert kept.text == KEPT
    assert (await stage.database.images.history(stage.alice.id)).images


async def test_erasing_works_after_a_restart_and_leaves_other_people_alone(stage: Stage) -> None:
    _, posted = await stage.draw("1girl")
    await stage.draw("bob's own", stage.bob)
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    await stage.restart()
    message = await stage.turned(question, "Erase")
    assert "1 job with 1 picture" in message.text
    left = await stage.database.privacy.export(stage.alice.id)
    assert not left["jobs"] and not left["pictures"]
    assert (await stage.database.images.history(stage.bob.id)).images
    assert stage.discord.messages.get(posted.id) is not None


async def test_erasing_stops_running_and_queued_jobs(stage: Stage) -> None:
    stage.engine.hold()
    drawing = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    waiting = await stage.ask("2girls")
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    await stage.turned(question, "Erase")
    assert len(stage.client.queue) == 0
    for job in (drawing, waiting):
        assert await stage.database.jobs.get(job.id) is None
        assert "Cancelled" in stage.discord.messages.get(job.message_id).text
    stage.engine.let_go()
    await stage.draw("drawing goes on for others", stage.bob)
    assert stage.engine.cancelled == 1


async def test_a_job_that_is_accepted_just_before_the_erasure_says_that_it_is_cancelled(
    stage: Stage, monkeypatch
) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    erase, accepted = stage.database.privacy.erase, []

    async def accept_and_erase(user_id: int, *, messages_too: bool) -> Erased:
        accepted.append(await stage.ask("1girl"))
        return await erase(user_id, messages_too=messages_too)

    monkeypatch.setattr(stage.database.privacy, "erase", accept_and_erase)
    await stage.turned(question, "Erase")
    [job] = accepted
    assert "Cancelled" in stage.discord.messages.get(job.message_id).text
    assert job.id not in stage.client.queue


async def test_a_job_that_is_erased_before_it_is_in_line_stays_out_of_it(stage: Stage, monkeypatch) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    accept = stage.database.jobs.accept

    async def accept_and_be_erased(*args: Any, **named: Any) -> Any:
        answer = await accept(*args, **named)
        await stage.turned(question, "Erase")
        return answer

    monkeypatch.setattr(stage.database.jobs, "accept", accept_and_be_erased)
    message = await (await stage.slash("imagine", prompt="1girl")).response()
    await stage.client.interactions.finish()
    assert len(stage.client.queue) == 0
    assert "Cancelled" in stage.discord.messages.get(message.id).text


async def test_erasing_can_delete_the_messages_too(stage: Stage) -> None:
    posted = [(await stage.draw(prompt))[1] for prompt in ("1girl", "2girls")]
    stage.discord.delete_message(posted[0])
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    pressed = await stage.press(question, "Erase and delete messages")
    await pressed.response()
    told = await stage.discord.wait_for_message(
        stage.general, lambda message: "Messages deleted in Discord: 2 of 2." in message.text
    )
    assert "Messages deleted in Discord: 2 of 2." in told.text
    assert stage.discord.messages.get(posted[1].id) is None


async def test_a_lost_connection_leaves_none_of_the_messages_of_an_erased_user(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)
    posted = [(await stage.draw(prompt))[1] for prompt in ("1girl", "2girls")]
    stage.discord.faults.drop("DELETE", "^/channels/", when="before")
    stage.discord.faults.drop("DELETE", "^/channels/", when="after")
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    await stage.press(question, "Erase and delete messages")
    await stage.discord.wait_for_message(
        stage.general, lambda message: "Messages deleted in Discord: 2 of 2." in message.text
    )
    assert not any(stage.discord.messages.get(message.id) for message in posted)


async def test_messages_that_were_to_be_deleted_are_deleted_after_a_kill(stage: Stage) -> None:
    posted = [(await stage.draw(prompt))[1] for prompt in ("1girl", "2girls", "3girls")]
    kept = (await stage.draw("bob's", stage.bob))[1]
    held = stage.discord.faults.hold("DELETE", "^/channels/")
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    await stage.press(question, "Erase and delete messages")

    async def is_held() -> bool:
        return held.hits > 0

    await until(is_held)
    for task in interaction_tasks():
        task.cancel()
    await asyncio.gather(*interaction_tasks(), return_exceptions=True)
    held.cut()
    await stage.restart()

    async def are_gone() -> bool:
        return await stage.database.shares.erased() == ()

    await until(are_gone)
    assert not any(stage.discord.messages.get(message.id) for message in posted)
    assert stage.discord.messages.get(kept.id) is not None


async def test_no_message_with_a_prompt_is_left_whatever_became_of_the_job(stage: Stage) -> None:
    done, _ = await stage.draw("it was drawn")
    stage.engine.hold()
    drawing = await stage.in_state((await stage.ask("it is drawn")).id, JobState.RUNNING)
    cancelled = await stage.ask("it was cancelled")
    await stage.client.cancellation.cancel(cancelled, by=stage.alice.id)
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    await stage.press(question, "Erase and delete messages")
    await stage.discord.wait_for_message(
        stage.general, lambda message: "Messages deleted in Discord: 3 of 3." in message.text
    )
    assert not any(stage.discord.messages.get(job.message_id) for job in (done, drawing, cancelled))
    stage.engine.let_go()


async def test_only_messages_that_the_bot_can_delete_are_counted(stage: Stage) -> None:
    world = stage.discord.world
    await stage.draw("only alice sees it", private=True)
    for _ in range(2):
        await stage.draw("1girl", where=world.gallery)
    await stage.draw("1girl")
    stage.discord.set_overwrite(world.gallery, world.bot_role, deny=Permissions.VIEW_CHANNEL)
    question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
    await stage.press(question, "Erase and delete messages")
    await stage.discord.wait_for_message(
        stage.general, lambda message: "Messages deleted in Discord: 1 of 3." in message.text
    )
    refused = [each for each in stage.discord.request_log.requests if each.status == 403 and each.method == "DELETE"]
    assert len(refused) == 1, "a channel that the bot does not see is asked once"


async def test_where_discord_takes_few_messages_a_copy_says_that_sources_are_missing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "MAX_FILES", 1)
    stage.discord.world.elsewhere.add_member(stage.alice)
    for color in ("red", "green", "blue", "black", "white", "yellow", "orange"):
        await stage.draw("1girl", image=given(8, color))
    page = await (await stage.slash("privacy", where=stage.discord.world.lounge)).response()
    pressed = await stage.press(page, "Send me a copy")
    assert len((await pressed.followup(4)).attachments) == 1
    await stage.discord.wait_for_message(stage.discord.world.lounge, lambda message: MORE_SOURCES in message.text)


async def test_it_says_how_long_everything_is_kept(stage: Stage) -> None:
    assert "I store it until you erase it." in (await stage.answer("privacy")).text
    stage.client.retention.prompts_kept = timedelta(days=1)
    told = (await stage.answer("privacy")).text
    assert "Prompts and settings are deleted after 1 day." in told and "leave your history" not in told
    stage.client.retention.images_kept = timedelta(days=30.5)
    assert "Pictures leave your history after 30.5 days" in (await stage.answer("privacy")).text


async def test_erasing_takes_shared_images_from_the_gallery_also_after_a_restart(stage: Stage, monkeypatch) -> None:
    gallery = await name_gallery(stage)
    for prompt, user in (("one", stage.alice), ("two", stage.alice), ("bob's", stage.bob)):
        job, message = await stage.draw(prompt, user)
        await share(stage, job, message, user)
    job, message = await stage.draw("three")
    unposted = await stage.database.shares.begin(
        (await stage.database.images.of_job(job.id))[0].id,
        by=stage.alice.id,
        guild_id=gallery.guild.id,
        channel_id=gallery.id,
    )
    assert unposted is not None
    with monkeypatch.context() as patch:
        patch.setattr(type(stage.client.gallery), "remove_erased", lambda gallery: None)
        question = await stage.turned(await stage.answer("privacy"), "Erase everything…")
        await stage.turned(question, "Erase")
        assert len(posts(stage)) == 3
        await stage.stop()
        await stage.discord.wait_until_gone()
    await stage.start()

    async def are_gone() -> bool:
        return await stage.database.shares.erased() == ()

    await until(are_gone)
    [left] = posts(stage)
    assert "bob's" in left.text


async def test_a_copy_names_what_was_shared(stage: Stage) -> None:
    gallery = await name_gallery(stage)
    job, message = await stage.draw("1girl")
    await share(stage, job, message, stage.bob)
    sent = await press_and_read(stage, await stage.answer("privacy"), "Send me a copy")
    [shared] = json.loads(sent.attachments[0].data)["shares"]
    assert shared["channel_id"] == gallery.id and shared["message_id"] == posts(stage)[0].id
    assert str(stage.bob.id) not in sent.attachments[0].data.decode()
