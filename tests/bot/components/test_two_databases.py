"""Two bots with one token and a database each, such as a developer's: their jobs have the same numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.jobs.delivery import outbox
from bot.sandbox import Message
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.components.sharing.test_share import name_gallery, posts, share
from tests.bot.harness import Stage


@pytest.fixture
async def other(stage: Stage, tmp_path: Path) -> AsyncIterator[Stage]:
    """The bot with the other database; each of the two is connected while the other one is not."""
    (tmp_path / "other").mkdir()
    other = Stage(stage.discord, tmp_path / "other")
    yield other


async def change_to(stage: Stage, before: Stage) -> None:
    await before.stop()
    await stage.discord.wait_until_gone()
    await stage.start()


async def both_drew(stage: Stage, other: Stage) -> tuple[Job, Message]:
    """The first bot's job, and a newer message of the other one's, whose buttons have the same number."""
    job, _ = await stage.draw("1girl")
    await change_to(other, stage)
    theirs, message = await other.draw("1boy")
    await change_to(stage, other)
    assert theirs.id == job.id and theirs.interaction_id > job.interaction_id
    return job, message


@pytest.mark.parametrize("label", ["Re-roll", "Upscale", "Edit…", "More…"])
async def test_a_button_under_a_message_of_the_other_one_continues_no_job_of_the_same_number(
    stage: Stage, other: Stage, label: str
) -> None:
    _, message = await both_drew(stage, other)
    sent = await stage.press(message, label)
    told = await (sent.followup() if label in ("Re-roll", "Upscale") else sent.response())
    assert "no longer saved" in told.text and told.is_ephemeral
    assert await stage.database.jobs.by_interaction(sent.id) is None


async def test_it_deletes_and_cancels_none(stage: Stage, other: Stage) -> None:
    job, message = await both_drew(stage, other)
    for action in ("delete", "delete-for-good"):
        told = await (await stage.press_forged(message, f"anima:{action}:{job.id}:0", stage.alice)).response()
        assert "no longer saved" in told.text
    assert stage.discord.messages.get(job.message_id) is not None
    stage.engine.hold()
    waiting = await stage.in_state((await stage.ask("2girls")).id, JobState.RUNNING)
    await change_to(other, stage)
    other.engine.hold()
    theirs = await other.in_state((await other.ask("2boys")).id, JobState.RUNNING)
    assert theirs.id == waiting.id
    message = other.discord.messages.get(theirs.message_id)
    await change_to(stage, other)
    await (await stage.press(message, "Cancel")).followup()
    assert (await stage.database.jobs.get(waiting.id)).state is not JobState.CANCELLED


async def test_new_messages_for_jobs_of_the_same_number_are_two(stage: Stage, other: Stage) -> None:
    """Discord would take the second one's for the first one's, sent again, if their nonces were the same."""
    thread, shown = stage.discord.world.thread, []
    for bot, before in ((stage, None), (other, stage)):
        if before is not None:
            await change_to(bot, before)
        bot.engine.hold()
        job = await bot.in_state((await bot.ask("1girl", where=thread)).id, JobState.RUNNING)
        stage.discord.archive_thread(thread)
        bot.engine.let_go()
        shown.append(await bot.in_state(job.id, JobState.DELIVERED))
    assert shown[0].id == shown[1].id and shown[0].message_id != shown[1].message_id
    assert len([message for message in stage.discord.messages_in(thread) if message.attachments]) == 2
    await change_to(stage, other)


async def test_a_new_message_is_posted_although_the_other_one_has_one_of_its_number(stage: Stage, other: Stage) -> None:
    """A search for what was posted before a crash finds that one too."""
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    await change_to(other, stage)
    theirs, _ = await other.draw("1boy")
    assert theirs.id == job.id
    await change_to(stage, other)
    await stage.database.jobs.mark_reposted(job.id)
    await stage.restart()
    stage.engine.let_go()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    assert done.message_id == job.message_id


async def test_a_post_in_the_gallery_is_not_taken_for_one_from_a_lost_database(
    stage: Stage, other: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)
    gallery = await name_gallery(stage)
    await share(stage, *await stage.draw("1girl"))
    [old] = posts(stage)
    await change_to(other, stage)
    await name_gallery(other)
    job, message = await other.draw("1boy")
    other.discord.faults.drop("POST", f"^/channels/{gallery.id}/messages", when="before", times=2)
    told = await share(other, job, message)
    new = [post for post in posts(other) if post.id != old.id]
    assert len(new) == 1 and f"/{new[0].id}" in told.text and "1boy" in new[0].text
    await change_to(stage, other)
