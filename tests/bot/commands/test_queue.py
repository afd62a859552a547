"""`/anima queue`: what it shows, and that cancelling ends a job in whatever state it is."""

from __future__ import annotations

import asyncio

from bot.components.cancel import ENDED_ALREADY, NOT_YOURS
from bot.sandbox import Message
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage, until


def buttons(message: Message) -> list[str]:
    return [button["custom_id"] for button in message.inputs()]


async def spent(stage: Stage) -> float:
    return (await stage.database.quotas.usage(Account(stage.alice.id, stage.general.guild.id))).spent


async def test_an_empty_queue_says_so(stage: Stage) -> None:
    message = await stage.answer("queue")
    assert message.is_ephemeral
    assert "The queue is empty. `/anima imagine` draws a picture." in message.text


async def test_each_own_job_shows_its_position_and_others_are_only_counted(stage: Stage) -> None:
    stage.engine.hold()
    first = await stage.ask("1girl, *bold* @everyone")
    await stage.in_state(first.id, JobState.RUNNING)
    await stage.ask("other people's secret", stage.bob)
    second = await stage.ask("2girls")
    message = await stage.answer("queue")
    assert "2 jobs in the queue, 1 being drawn." in message.text
    assert "Drawing now" in message.text
    assert "1 job ahead" in message.text
    assert "secret" not in message.text
    assert "*bold*" not in message.text and "@everyone" not in message.text
    assert buttons(message) == [f"anima:queue:cancel:{first.id}", f"anima:queue:cancel:{second.id}", "anima:queue"]


async def test_each_job_says_what_it_is_and_links_to_its_message_and_source(stage: Stage) -> None:
    source, picture = await stage.draw("1girl")
    hidden = await stage.in_state((await stage.ask("secret", private=True)).id, JobState.DELIVERED)
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", count=3)).id, JobState.RUNNING)
    pressed = [await stage.press(picture, "Upscale")]
    pressed.append(await stage.press(stage.discord.messages.get(hidden.message_id), "Re-roll"))
    upscale, reroll = [await until(lambda id=each.id: stage.database.jobs.by_interaction(id)) for each in pressed]
    text = (await stage.answer("queue")).text
    at = f"https://discord.com/channels/{stage.general.guild.id}/{stage.general.id}"
    assert f"upscale of [a picture]({at}/{source.message_id}) · [message]({at}/{upscale.message_id}) · " in text
    assert "3 pictures · [message]" in text
    assert (
        "re-roll of a picture · " in text
        and f"/{reroll.message_id}" not in text
        and f"/{hidden.message_id}" not in text
    )


async def test_after_the_first_image_the_queue_shows_when_jobs_will_be_ready(stage: Stage) -> None:
    await stage.draw("1girl")
    stage.engine.hold()
    await stage.in_state((await stage.ask("2girls")).id, JobState.RUNNING)
    await stage.ask("3girls")
    message = await stage.answer("queue")
    assert message.text.count("ready soon") == 2


async def test_cancelling_a_running_job_stops_the_engine_and_refunds(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    assert await spent(stage) == 1
    message = await stage.turned(await stage.answer("queue"), "Cancel")
    assert "You were not charged" in message.text
    await until(lambda: _true(stage.engine.cancelled == 1))
    assert (await stage.database.jobs.get(job.id)).state is JobState.CANCELLED
    assert await spent(stage) == 0
    assert "Cancelled. You were not charged." in stage.discord.messages.get(job.message_id).text
    stage.engine.let_go()
    await stage.draw("the next one is drawn all the same")


async def test_a_batch_continues_for_the_jobs_not_cancelled(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("the engine is busy")).id, JobState.RUNNING)
    unwanted = await stage.ask("unwanted")
    wanted = await stage.ask("wanted", stage.bob)
    stage.engine.let_go()
    stage.engine.hold()
    await stage.in_state(unwanted.id, JobState.RUNNING)
    await stage.in_state(wanted.id, JobState.RUNNING)
    overview = await stage.answer("queue")
    await (await stage.discord.press(stage.alice, overview, custom_id=f"anima:queue:cancel:{unwanted.id}")).response()
    await asyncio.sleep(0.05)
    assert stage.engine.cancelled == 0
    stage.engine.let_go()
    await stage.in_state(wanted.id, JobState.DELIVERED)
    assert (await stage.database.jobs.get(unwanted.id)).state is JobState.CANCELLED
    message = stage.discord.messages.get(unwanted.message_id)
    assert "Cancelled" in message.text and not message.attachments


async def test_a_waiting_job_is_never_drawn_once_it_is_cancelled(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    job = await stage.ask("waiting")
    message = await stage.turned(await stage.answer("queue"), "Cancel")
    assert "You have no jobs in the queue" in message.text
    assert len(stage.client.queue) == 0
    stage.engine.let_go()
    await stage.draw("after")
    assert "waiting" not in {request.prompt for request in stage.engine.requests}
    assert (await stage.database.jobs.get(job.id)).notified


async def test_an_image_being_posted_is_taken_back(stage: Stage) -> None:
    delivering = stage.discord.faults.hold("PATCH", "^/(channels|webhooks)/", file="anima-")
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RENDERED)
    message = await stage.answer("queue")
    assert "posting now" in message.text
    pressed = await stage.press(message, "Cancel")
    await stage.in_state(job.id, JobState.CANCELLED)
    delivering.release()
    await pressed.response()
    shown = stage.discord.messages.get(job.message_id)
    assert "Cancelled" in shown.text and not shown.attachments
    assert await spent(stage) == 0


async def test_two_clicks_at_once_cancel_once(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    await stage.ask("1girl")
    overview = await stage.answer("queue")
    clicks = [await stage.press(overview, "Cancel") for _ in range(2)]
    await asyncio.gather(*(click.response() for click in clicks))
    assert await spent(stage) == 0


async def test_the_button_works_after_a_restart_and_a_delivered_picture_stays(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    overview = await stage.answer("queue")
    await stage.restart()
    await stage.in_state(job.id, JobState.DELIVERED)
    message = await stage.turned(overview, "Cancel")
    assert ENDED_ALREADY in message.text
    assert stage.discord.messages.get(job.message_id).attachments


async def test_another_persons_job_cannot_be_cancelled(stage: Stage) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", stage.bob)).id, JobState.RUNNING)
    message = await stage.discord.wait_for_message(stage.general, lambda m: m.id == job.message_id)
    interaction = await stage.discord.menu(stage.alice, message, "Anima: cancel")
    assert (await interaction.response()).content == NOT_YOURS
    assert (await stage.database.jobs.get(job.id)).state is JobState.RUNNING


async def _true(fact: bool) -> bool:
    return fact


async def test_the_message_of_a_job_that_waits_has_a_button_for_its_asker_to_take_it_back(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    job = await stage.ask("1girl")

    async def shown() -> Message | None:
        message = stage.discord.messages.get(job.message_id)
        return message if message is not None and message.inputs() else None

    message = await until(shown)
    member = stage.discord.world.add_user("dan", stage.discord.world.guild)
    refused = await stage.press(message, "Cancel", member)
    assert "only cancel your own jobs" in (await refused.followup()).text
    await stage.press(message, "Cancel")
    await stage.in_state(job.id, JobState.CANCELLED)
    assert "You were not charged" in await until(lambda: _ended(stage, message.id))
    assert await spent(stage) == 0


async def _ended(stage: Stage, message_id: int) -> str | None:
    text = stage.discord.messages.get(message_id).text
    return text if "Cancelled" in text else None
