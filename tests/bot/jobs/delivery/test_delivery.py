"""A finished picture finds its way whatever Discord does: each fault with the real client against the stand-in."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from bot.jobs import workers
from bot.jobs.delivery import outbox
from bot.messages.job import OUT_OF_REACH
from bot.sandbox import Channel, FakeDiscord, Message, Permissions, User
from bot.sandbox.model.errors import ApiError, Refusal
from bot.sandbox.model.world import FILE_SIZE_LIMITS
from bot.sandbox.server.faults import Fault, When
from storage.jobs import Jobs
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage, until

#: Edits of messages, by the interaction's token and by channel and id, and new messages.
EDITS = "^/(channels|webhooks)/"


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py and the bot wait only a moment before they try again."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds, result=None: sleep(min(seconds, 0.02), result))


async def with_picture(stage: Stage, channel_of: User | None = None, where: Channel | None = None) -> list[Message]:
    where = where or (stage.general if channel_of is None else stage.discord.dm(channel_of))
    return [message for message in stage.discord.messages_in(where) if message.attachments]


async def spent(stage: Stage) -> float:
    usage = await stage.database.quotas.usage(Account(stage.alice.id, stage.general.guild.id))
    return usage.spent


async def held(stage: Stage, where: Channel | None = None) -> int:
    """A job that is being drawn and will not be finished before `stage.engine.let_go()`."""
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", where=where)).id, JobState.RUNNING)
    return job.id


async def delivered(stage: Stage, job_id: int) -> None:
    stage.engine.let_go()
    await stage.in_state(job_id, JobState.DELIVERED)


async def test_an_archived_thread_gets_the_picture_in_a_new_message(stage: Stage) -> None:
    thread = stage.discord.world.thread
    job_id = await held(stage, thread)
    job = await stage.database.jobs.get(job_id)
    stage.discord.archive_thread(thread)
    await delivered(stage, job_id)
    [message] = await with_picture(stage, where=thread)
    assert message.id == (await stage.database.jobs.get(job_id)).message_id != job.message_id
    assert message.mentions.users == (stage.alice,), "a new message tells the one who asked that it is there"


async def test_an_image_for_a_locked_thread_arrives_as_a_private_message(stage: Stage) -> None:
    thread = stage.discord.world.thread
    job_id = await held(stage, thread)
    stage.discord.archive_thread(thread, locked=True)
    await delivered(stage, job_id)
    assert len(await with_picture(stage, stage.alice)) == 1 and not await with_picture(stage, where=thread)


async def test_a_token_of_fifteen_minutes_ago_is_not_needed(stage: Stage) -> None:
    job_id = await held(stage)
    before = await stage.database.jobs.get(job_id)
    stage.discord.clock.turn(16 * 60)
    await delivered(stage, job_id)
    [message] = await with_picture(stage)
    assert message.id == before.message_id, "the job's own message shows it, and no new one"


async def test_a_private_picture_whose_token_has_expired_comes_as_a_private_message(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", private=True)).id, JobState.RUNNING)
    stage.discord.clock.turn(16 * 60)
    await delivered(stage, job.id)
    assert len(await with_picture(stage, stage.alice)) == 1
    assert await with_picture(stage) == []


async def test_a_private_message_with_a_picture_that_was_cancelled_while_it_was_sent_is_deleted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", private=True)).id, JobState.RUNNING)
    stage.discord.clock.turn(16 * 60)
    delivered = Jobs.delivered

    async def delivered_late(self: Jobs, job_id: int, **where: Any) -> bool:
        await self.cancel(job_id, by=stage.alice.id)
        return await delivered(self, job_id, **where)

    monkeypatch.setattr(Jobs, "delivered", delivered_late)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.CANCELLED)
    await stage.client.outbox.drain()
    assert stage.discord.messages_in(stage.discord.dm(stage.alice)) == []


async def test_without_a_channel_it_comes_as_a_private_message(stage: Stage) -> None:
    job_id = await held(stage)
    stage.discord.clock.turn(16 * 60)
    stage.discord.set_overwrite(stage.general, stage.discord.world.bot, deny=Permissions.VIEW_CHANNEL)
    await delivered(stage, job_id)
    assert len(await with_picture(stage, stage.alice)) == 1
    assert await spent(stage) == 1.0


@pytest.mark.parametrize("place", ["a server", "a group"])
async def test_where_only_a_person_installed_the_bot_nothing_is_tried_that_discord_must_refuse(
    stage: Stage, place: str
) -> None:
    world = stage.discord.world
    world.elsewhere.add_member(stage.alice)
    job_id = await held(stage, world.lounge if place == "a server" else world.group)
    stage.discord.clock.turn(16 * 60)
    await stage.restart()
    await delivered(stage, job_id)
    assert len(await with_picture(stage, stage.alice)) == 1
    assert [each.status for each in stage.discord.request_log.requests if each.status in (401, 403)] == [401]


async def test_without_any_open_route_the_job_ends_with_a_refund(stage: Stage) -> None:
    job_id = await held(stage)
    stage.discord.clock.turn(16 * 60)
    stage.discord.world.closed_to_dms.add(stage.alice.id)
    stage.discord.set_overwrite(stage.general, stage.discord.world.bot, deny=Permissions.VIEW_CHANNEL)
    stage.engine.let_go()
    job = await stage.in_state(job_id, JobState.FAILED)
    assert job.reason == OUT_OF_REACH
    assert await spent(stage) == 0


@pytest.mark.parametrize("blocked", ["the image", "the prompt"])
async def test_a_reason_is_told_without_the_prompt_where_discord_blocks_it(stage: Stage, blocked: str) -> None:
    create, private = stage.discord.messages.create, stage.discord.dm(stage.alice)

    def create_unless_blocked(channel: Any, author: Any, body: Any, *args: Any, **more: Any) -> Any:
        if channel is private and (body.files or (blocked == "the prompt" and "1girl" in str(body.payload))):
            raise ApiError(Refusal(400, 20009, "Explicit content cannot be sent to the desired recipient(s)"))
        return create(channel, author, body, *args, **more)

    stage.discord.messages.create = create_unless_blocked  # type: ignore[method-assign]
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", private=True)).id, JobState.RUNNING)
    stage.discord.clock.turn(16 * 60)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.FAILED)

    async def told() -> bool:
        messages = stage.discord.messages_in(private)
        return any("You were not charged." in each.text and "1girl" not in each.text for each in messages)

    await until(told)
    assert await spent(stage) == 0


async def test_a_deleted_channel_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.engine.hold()
    first = await stage.in_state((await stage.ask("1girl", where=stage.discord.world.gallery)).id, JobState.RUNNING)
    stage.discord.delete_channel(stage.discord.world.gallery)
    await delivered(stage, first.id)
    assert len(await with_picture(stage, stage.alice)) == 1
    await stage.draw("after it")


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_discord_that_is_down_is_asked_again_until_it_answers(stage: Stage, status: int) -> None:
    job_id = await held(stage)
    fault = stage.discord.faults.answer("PATCH", EDITS, status, {"message": "down", "code": 0}, times=12)
    await delivered(stage, job_id)
    assert fault.hits == 12
    assert len(await with_picture(stage)) == 1


async def test_a_rate_limit_is_obeyed(stage: Stage) -> None:
    job_id = await held(stage)
    fault = stage.discord.faults.rate_limit("PATCH", EDITS, 0.2)
    await delivered(stage, job_id)
    assert fault.hits == 1
    assert len(await with_picture(stage)) == 1


@pytest.mark.usefixtures("_impatient")
async def test_a_ban_by_cloudflare_which_discord_py_does_not_wait_for_is_waited_for(stage: Stage) -> None:
    job_id = await held(stage)
    fault = stage.discord.faults.rate_limit("PATCH", EDITS, 1.0, times=4, via=False)
    await delivered(stage, job_id)
    assert fault.hits == 4
    assert len(await with_picture(stage)) == 1


@pytest.mark.usefixtures("_impatient")
async def test_a_rate_limit_that_does_not_say_how_long_is_waited_for(stage: Stage) -> None:
    job_id = await held(stage)
    headers = {"Via": "1.1 google"}
    fault = stage.discord.faults.answer("PATCH", EDITS, 429, {"message": "slow"}, headers=headers, times=3)
    await delivered(stage, job_id)
    assert fault.hits == 3
    assert len(await with_picture(stage)) == 1


@pytest.mark.usefixtures("_impatient")
async def test_a_permanent_unexpected_error_ends_with_a_refund(stage: Stage) -> None:
    job_id = await held(stage)
    headers = {"Via": "1.1 google"}
    stage.discord.faults.answer(
        "PATCH", EDITS, 429, {"message": "slow"}, headers=headers, times=outbox.MAX_UNEXPECTED_ERRORS
    )
    stage.engine.let_go()
    await stage.in_state(job_id, JobState.FAILED)
    assert await spent(stage) == 0


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_upload_that_is_not_answered_is_made_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, when: When
) -> None:
    job_id = await held(stage)
    session = stage.client.http._HTTPClient__session  # type: ignore[attr-defined]
    monkeypatch.setattr(session, "_timeout", aiohttp.ClientTimeout(total=0.3))
    fault = stage.discord.faults.hold("PATCH", EDITS, when=when, file="anima-")
    await delivered(stage, job_id)
    assert fault.hits == 1
    fault.release()
    assert len(await with_picture(stage)) == 1


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_makes_no_second_picture(stage: Stage, when: str) -> None:
    job_id = await held(stage)
    stage.discord.faults.drop("PATCH", EDITS, when=when, times=7)
    await delivered(stage, job_id)
    assert len(await with_picture(stage)) == 1


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_a_new_message_makes_no_second_one(stage: Stage, when: str) -> None:
    job_id = await held(stage, stage.discord.world.thread)
    stage.discord.archive_thread(stage.discord.world.thread)
    stage.discord.faults.drop("POST", "^/channels/", when=when, times=7)
    await delivered(stage, job_id)
    assert len(await with_picture(stage, where=stage.discord.world.thread)) == 1


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("private", [False, True])
async def test_a_picture_that_was_posted_unnoticed_is_found_when_its_nonce_is_long_forgotten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    monkeypatch.setattr("bot.sandbox.model.messages.NONCE_LIFETIME", -1.0)
    stage.engine.hold()
    thread = stage.discord.world.thread
    job = await stage.in_state((await stage.ask("1girl", where=thread, private=private)).id, JobState.RUNNING)
    if private:
        stage.discord.clock.turn(16 * 60)
    else:
        stage.discord.archive_thread(thread)
    lost = stage.discord.faults.hold("POST", "^/channels/.*/messages", when="after")
    stage.engine.let_go()
    await until(lambda: _has_happened(lost))
    cut_off = stage.discord.faults.answer("GET", "^/channels/.*/messages", 500, times=10_000)
    lost.cut()
    await stage.draw("another", stage.bob)
    monkeypatch.setattr(workers, "CLOSE_TIMEOUT", 0.1)
    await stage.stop()
    stage.discord.faults.clear()
    assert cut_off.hits
    await stage.discord.wait_until_gone()
    await stage.start()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    [posted] = [*await with_picture(stage, where=thread), *await with_picture(stage, stage.alice)]
    assert job.message_id == posted.id and posted.author == stage.discord.world.bot
    assert await spent(stage) == 1.0


async def _has_happened(fault: Fault) -> bool:
    return fault.hits > 0


async def test_a_permanent_refusal_ends_with_a_refund_and_an_explanation(stage: Stage) -> None:
    job_id = await held(stage)
    stage.discord.faults.answer("PATCH", EDITS, 400, {"message": "Invalid Form Body", "code": 50035})
    stage.engine.let_go()
    job = await stage.in_state(job_id, JobState.FAILED)
    await until(lambda: _told(stage, job_id))
    assert "Discord didn't accept the picture" in stage.discord.messages.get(job.message_id).text
    assert await spent(stage) == 0


async def _told(stage: Stage, job_id: int) -> bool:
    job = await stage.database.jobs.get(job_id)
    return job is not None and job.notified


async def _is_drawn(stage: Stage, job_id: int) -> bool:
    job = await stage.database.jobs.get(job_id)
    message = None if job is None else stage.discord.messages.get(job.message_id)
    return message is not None and "step 1" in message.text


async def test_a_file_too_large_is_re_encoded_once_with_a_note(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILE_SIZE_LIMITS, 0, 10_000)
    stage.engine.noise = True
    _, message = await stage.draw("1girl")
    [attachment] = message.attachments
    assert attachment.filename.endswith(".webp") and "smaller WebP" in message.text
    assert Image.open(io.BytesIO(attachment.data)).size == (64, 64)
    assert "same settings inside" in message.text


async def test_a_file_still_too_large_ends_with_a_refund_and_an_explanation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FILE_SIZE_LIMITS, 0, 1000)
    stage.engine.noise = True
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.FAILED)
    await until(lambda: _told(stage, job.id))
    assert "too large for Discord" in stage.discord.messages.get(job.message_id).text
    assert await spent(stage) == 0


async def test_a_channel_that_lost_its_age_restriction_gets_nothing_explicit(stage: Stage) -> None:
    after_dark = stage.discord.world.after_dark
    stage.engine.hold()
    asked = await stage.ask("1girl, nude", where=after_dark)
    job = await stage.in_state(asked.id, JobState.RUNNING)
    stage.discord.set_age_restricted(after_dark, False)
    stage.engine.let_go()
    job = await stage.in_state(job.id, JobState.REFUSED)
    await until(lambda: _told(stage, job.id))
    message = stage.discord.messages.get(job.message_id)
    assert "can no longer be shown here" in message.text and not message.attachments
    assert await spent(stage) == 0


async def test_the_same_picture_is_shown_where_the_restriction_stayed(stage: Stage) -> None:
    _, message = await stage.draw("1girl, nude", where=stage.discord.world.after_dark)
    assert message.attachments


@pytest.mark.usefixtures("_impatient")
async def test_pictures_rendered_before_a_restart_are_posted_once_after_it(stage: Stage) -> None:
    job_id = await held(stage)
    fault = stage.discord.faults.answer("PATCH", EDITS, 500, {"message": "down", "code": 0}, times=10_000)
    stage.engine.let_go()
    await stage.in_state(job_id, JobState.RENDERED)
    workers.CLOSE_TIMEOUT, grace = 0.1, workers.CLOSE_TIMEOUT
    try:
        await stage.stop()
    finally:
        workers.CLOSE_TIMEOUT = grace
    fault.times = 0
    stage.discord.faults.clear()
    await stage.discord.wait_until_gone()
    await stage.start()
    await stage.in_state(job_id, JobState.DELIVERED)
    assert len(await with_picture(stage)) == 1


@pytest.mark.usefixtures("_impatient")
async def test_a_failure_is_notified_as_soon_as_discord_answers(stage: Stage) -> None:
    job_id = await held(stage)
    await until(lambda: _is_drawn(stage, job_id))  # the engine says nothing more afterwards
    fault = stage.discord.faults.answer("PATCH", EDITS, 502, {"message": "down", "code": 0}, times=30)
    await stage.database.jobs.fail(job_id, "The engine failed.")
    stage.client.outbox.report_failure_later(await stage.database.jobs.get(job_id))
    await until(lambda: _told(stage, job_id))
    job = await stage.database.jobs.get(job_id)
    assert "The engine failed." in stage.discord.messages.get(job.message_id).text
    assert fault.hits == 30


@pytest.mark.usefixtures("_impatient")
async def test_a_reason_whose_answer_was_lost_is_not_shown_twice(stage: Stage) -> None:
    thread = stage.discord.world.thread
    job_id = await held(stage, thread)
    stage.discord.archive_thread(thread)
    lost = stage.discord.faults.drop("POST", "^/channels/", when="after", times=7)
    await stage.database.jobs.fail(job_id, "The engine failed.")
    stage.client.outbox.report_failure_later(await stage.database.jobs.get(job_id))
    await until(lambda: _told(stage, job_id))
    assert lost.hits == 7
    told = [message for message in stage.discord.messages_in(thread) if "engine failed" in message.text]
    assert len(told) == 1


async def test_a_failure_not_notified_before_a_restart_is_notified_after_it(stage: Stage) -> None:
    job_id = await held(stage)
    await stage.database.jobs.fail(job_id, "The engine failed.")
    await stage.restart()
    await until(lambda: _told(stage, job_id))
    job = await stage.database.jobs.get(job_id)
    assert "The engine failed." in stage.discord.messages.get(job.message_id).text


@pytest.fixture
async def judged_stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    stage.settings |= {"picture_classifier": "some/classifier", "picture_classifier_refuses": "nsfw:0.9"}
    await stage.start()
    yield stage
    await stage.stop()


async def test_a_classifier_hides_or_refuses_pictures_where_everybody_sees_them(judged_stage: Stage) -> None:
    judged_stage.engine.labels = {"nsfw": 0.6}
    job, message = await judged_stage.draw("1girl")
    assert job.spoiler and all(attachment.is_spoiler for attachment in message.attachments)
    judged_stage.engine.labels = {"nsfw": 0.95}
    job = await judged_stage.in_state((await judged_stage.ask("1girl")).id, JobState.REFUSED)
    await until(lambda: _told(judged_stage, job.id))
    assert "isn't allowed in this channel" in judged_stage.discord.messages.get(job.message_id).text
    assert await spent(judged_stage) == 1.0, "only the one that was shown"
    _, message = await judged_stage.draw("1girl", where=judged_stage.discord.world.after_dark)
    assert not message.attachments[0].is_spoiler, "an age-restricted channel is not judged"


async def test_a_command_older_than_its_token_when_the_model_is_loaded_is_drawn_all_the_same(
    standin: FakeDiscord, tmp_path: Path
) -> None:
    stage = Stage(standin, tmp_path)
    stage.engine.loaded.clear()
    await stage.start()
    try:
        interaction = await stage.slash("imagine", prompt="1girl, long_hair")
        await interaction.acknowledged()
        stage.discord.clock.turn(16 * 60)
        stage.engine.loaded.set()
        job = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
        await delivered(stage, job.id)
        [message] = await with_picture(stage)
        assert message.id == job.message_id
    finally:
        stage.engine.loaded.set()
        await stage.stop()


@pytest.mark.parametrize("permission", [Permissions.VIEW_CHANNEL, Permissions.SEND_MESSAGES, Permissions.ATTACH_FILES])
async def test_a_permission_that_was_lost_meanwhile_loses_no_picture(stage: Stage, permission: int) -> None:
    job_id = await held(stage)
    before = await stage.database.jobs.get(job_id)
    stage.discord.set_overwrite(stage.general, stage.discord.world.bot, deny=permission)
    await delivered(stage, job_id)
    [message] = [*await with_picture(stage), *await with_picture(stage, stage.alice)]
    assert message.id == before.message_id, "as long as its token lives, a job's own message can be reached"
    assert await spent(stage) == 1.0


@pytest.mark.parametrize("label", ["Re-roll", "Vary", "Upscale"])
async def test_a_rate_limit_on_any_route_loses_no_press(stage: Stage, label: str) -> None:
    _, message = await stage.draw("1girl")
    faults = [
        stage.discord.faults.rate_limit("PATCH", EDITS, 0.1),
        stage.discord.faults.rate_limit("POST", "^/interactions/.*/callback", 0.1),
    ]
    await stage.press(message, label)

    async def two() -> bool:
        return len(await with_picture(stage)) == 2

    await until(two)
    assert [fault.hits for fault in faults] == [1, 1]


async def test_a_picture_sent_as_a_private_message_belongs_to_no_server(stage: Stage) -> None:
    job_id = await held(stage)
    stage.discord.clock.turn(16 * 60)
    stage.discord.set_overwrite(stage.general, stage.discord.world.bot, deny=Permissions.VIEW_CHANNEL)
    await delivered(stage, job_id)
    [message] = await with_picture(stage, stage.alice)
    job = await stage.database.jobs.get(job_id)
    assert (job.guild_id, job.message_id) == (None, message.id)
    page = await stage.answer("history")
    assert f"https://discord.com/channels/@me/{message.channel.id}/{message.id}" in page.text
    assert await spent(stage) == 1.0, "the server's account pays all the same"


async def test_a_picture_whose_user_takes_no_private_messages_is_found_in_its_channel(stage: Stage) -> None:
    job_id = await held(stage)
    await stage.database.jobs.mark_reposted(job_id)
    stage.discord.faults.answer("POST", "^/users/@me/channels", 403, {"message": "no", "code": 50007}, times=10_000)
    await stage.restart()
    await stage.in_state(job_id, JobState.DELIVERED)
    assert len(await with_picture(stage)) == 1
