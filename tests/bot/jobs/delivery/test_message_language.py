"""What everybody in a server sees is in the server's language; what one person sees is in theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.messages.job import ENGINE_LOST, GOES_ON, JUDGED_UNFIT, NOT_CHARGED, message_locale
from bot.sandbox import Message, User
from bot.text.languages import speaking
from bot.text.translation import say
from storage.schema import JobState
from tests.bot.harness import Stage, until


def japanese(sentence: str) -> str:
    with speaking("ja"):
        return say(sentence)


@pytest.fixture
def hanako(stage: Stage) -> User:
    """A member who reads Japanese, as Alice reads English."""
    world = stage.discord.world
    hanako = replace(world.add_user("hanako"), locale="ja")
    world.users[hanako.id] = hanako
    world.guild.add_member(hanako)
    return hanako


@pytest.fixture
def _japanese_server(stage: Stage) -> None:
    stage.discord.world.guild.locale = "ja"


def labels(message: Message) -> list[str]:
    return [str(control["label"]) for control in message.inputs() if "label" in control]


def shown(stage: Stage, message_id: int | None) -> Message:
    message = None if message_id is None else stage.discord.messages.get(message_id)
    assert message is not None
    return message


@pytest.mark.usefixtures("_japanese_server")
async def test_a_server_sees_pictures_and_their_progress_in_its_language(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    job = await stage.ask("2girls", stage.bob)

    async def waits() -> bool:
        return japanese("Next in queue") in shown(stage, job.message_id).text

    await until(waits)
    assert labels(shown(stage, job.message_id)) == [japanese("Cancel")]
    stage.engine.let_go()
    delivered = await stage.in_state(job.id, JobState.DELIVERED)
    assert japanese("Re-roll") in labels(shown(stage, delivered.message_id))


@pytest.mark.usefixtures("_japanese_server")
async def test_a_person_is_answered_in_their_language_there_all_the_same(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    more = await (await stage.press(message, japanese("More…"))).response()
    info = await (await stage.press(more, "Info")).response()
    assert info.is_ephemeral and "How it was made" in info.text
    refused = await stage.slash("imagine", prompt="1girl, nude")
    assert "isn't allowed in this channel" in (await refused.followup()).text


async def test_a_reader_of_japanese_in_an_english_server_leaves_its_messages_english(
    stage: Stage, hanako: User
) -> None:
    _, message = await stage.draw("1girl", hanako)
    assert "Re-roll" in labels(message)
    more = await (await stage.press(message, "More…", hanako)).response()
    info = await (await stage.press(more, japanese("Info"), hanako)).response()
    assert japanese("How it was made") in info.text


async def test_a_private_answer_is_in_the_language_of_its_only_reader(stage: Stage, hanako: User) -> None:
    _, message = await stage.draw("1girl", hanako, private=True)
    assert message.is_ephemeral and japanese("Re-roll") in labels(message)


async def test_a_private_channel_speaks_the_persons_language(stage: Stage, hanako: User) -> None:
    _, message = await stage.draw("1girl", hanako, stage.discord.dm(hanako))
    assert japanese("Re-roll") in labels(message)


@pytest.mark.usefixtures("_japanese_server")
async def test_an_image_sent_privately_instead_is_in_the_users_language(stage: Stage) -> None:
    gallery = stage.discord.world.gallery
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", where=gallery)).id, JobState.RUNNING)
    stage.discord.delete_channel(gallery)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    [message] = [each for each in stage.discord.messages_in(stage.discord.dm(stage.alice)) if each.attachments]
    assert "Re-roll" in labels(message)


@pytest.mark.usefixtures("_japanese_server")
@pytest.mark.parametrize("reason", [ENGINE_LOST, JUDGED_UNFIT])
async def test_a_failure_is_explained_in_the_language_of_where_it_is_shown(stage: Stage, reason: str) -> None:
    gallery = stage.discord.world.gallery
    stage.engine.hold()
    await stage.in_state((await stage.ask("1girl", stage.bob)).id, JobState.RUNNING)
    here, there = [await stage.ask("1girl", where=where) for where in (stage.general, gallery)]
    stage.discord.delete_channel(gallery)
    for job in (here, there):
        await stage.database.jobs.fail(job.id, reason)
        stage.client.outbox.report_failure_later(job, reason)
        await stage.client.outbox.wait_for(job.id)
    stage.engine.let_go()
    assert f"{japanese(reason)} {japanese(NOT_CHARGED)}" in shown(stage, here.message_id).text
    [told] = stage.discord.messages_in(stage.discord.dm(stage.alice))
    assert f"{reason} {NOT_CHARGED}" in told.text


@pytest.mark.usefixtures("_japanese_server")
async def test_a_server_reads_of_a_cancellation_and_of_a_restart_in_its_language(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    cancelled, interrupted = [await stage.ask("2girls", user) for user in (stage.alice, stage.bob)]

    async def waits() -> bool:
        return bool(shown(stage, cancelled.message_id).inputs())

    await until(waits)
    await (await stage.press(shown(stage, cancelled.message_id), japanese("Cancel"))).acknowledged()
    await stage.in_state(cancelled.id, JobState.CANCELLED)

    async def notified() -> bool:
        return japanese("Cancelled. You were not charged.") in shown(stage, cancelled.message_id).text

    await until(notified)
    await stage.client.progress.interrupt_waiting()
    assert japanese(GOES_ON) in shown(stage, interrupted.message_id).text


async def test_a_job_of_an_earlier_release_speaks_the_persons_language(stage: Stage, hanako: User) -> None:
    job, _ = await stage.draw("1girl", hanako)
    assert message_locale(job) == "en-US" and job.locale == "ja"
    parameters = {name: value for name, value in job.parameters.items() if name != "guild_locale"}
    assert message_locale(replace(job, parameters=parameters)) == "ja"
