"""What a block, a pause or the bot's removal cancels, with refunds, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from bot.components.deletion import delete_job
from bot.messages.job import DROPPED_BY_BLOCK, DROPPED_BY_OPERATOR, DROPPED_BY_PAUSE, DROPPED_BY_REMOVAL
from bot.sandbox import Channel, Message, User
from bot.sandbox.model.world import Overwrite, Permissions
from bot.text.languages import speaking
from bot.text.translation import say
from storage.jobs import Job
from storage.quotas import Account
from storage.schema import JobState
from storage.servers import EVERYWHERE
from tests.bot.harness import Stage, until
from tests.watched_loop import counted_turns

pytestmark = pytest.mark.both_databases


async def busy(stage: Stage) -> Job:
    """What Emi is having drawn, and what others wait for."""
    stage.engine.hold()
    return await stage.in_state((await stage.ask("busy", stage.emi)).id, JobState.RUNNING)


async def spent(stage: Stage, user: User, guild_id: int | None) -> float:
    return (await stage.database.quotas.usage(Account(user.id, guild_id))).spent


async def with_buttons(stage: Stage, job: Job) -> Message:
    """A job's message, once it says where the job stands."""

    async def shown() -> Message | None:
        message = stage.discord.messages.get(job.message_id)
        return message if message is not None and message.inputs() else None

    return await until(shown)


async def says(stage: Stage, job: Job, sentence: str) -> None:
    async def said() -> bool:
        message = stage.discord.messages.get(job.message_id)
        return message is not None and sentence in message.text and not message.inputs()

    await until(said)


async def state(stage: Stage, job: Job) -> JobState:
    found = await stage.database.jobs.get(job.id)
    assert found is not None
    return found.state


async def test_a_block_cancels_what_the_user_has_queued_there(stage: Stage) -> None:
    drawn = await busy(stage)
    waiting = [await stage.ask(f"wish {number}") for number in range(7)]
    elsewhere = await stage.ask("private", where=stage.discord.dm(stage.alice))
    guild_id = drawn.guild_id
    await stage.client.moderation.block(guild_id, stage.alice.id, by=stage.bob.id, reason="rude")
    for job in waiting:
        ended = await stage.in_state(job.id, JobState.CANCELLED)
        assert (ended.ended_by, ended.reason) == (stage.bob.id, DROPPED_BY_BLOCK)
        await says(stage, job, DROPPED_BY_BLOCK)
    assert await spent(stage, stage.alice, guild_id) == 0
    assert await state(stage, elsewhere) is JobState.QUEUED
    stage.engine.let_go()
    await stage.in_state(drawn.id, JobState.DELIVERED)
    await stage.in_state(elsewhere.id, JobState.DELIVERED)
    assert not {f"wish {number}" for number in range(7)} & {request.prompt for request in stage.engine.requests}
    assert all(notified.notified for notified in [await stage.database.jobs.get(job.id) for job in waiting])


async def test_a_block_also_stops_running_jobs(stage: Stage) -> None:
    drawn = await busy(stage)
    await stage.client.moderation.block(drawn.guild_id, stage.emi.id, by=stage.bob.id)
    await stage.in_state(drawn.id, JobState.CANCELLED)
    stage.engine.let_go()
    await stage.draw("next")
    message = stage.discord.messages.get(drawn.message_id)
    assert message is not None and not message.attachments
    assert await spent(stage, stage.emi, drawn.guild_id) == 0


async def test_a_ban_ends_all_jobs_of_that_person_in_that_server(stage: Stage) -> None:
    drawn = await busy(stage)
    waiting = await stage.ask("wish", stage.emi)
    others = await stage.ask("mine")
    elsewhere = await stage.ask("private", stage.emi, stage.discord.dm(stage.emi))
    stage.discord.ban(stage.general.guild, stage.emi)
    for job in (drawn, waiting):
        await stage.in_state(job.id, JobState.CANCELLED)
    assert await spent(stage, stage.emi, drawn.guild_id) == 0
    stage.engine.let_go()
    for job in (others, elsewhere):
        await stage.in_state(job.id, JobState.DELIVERED)
    message = stage.discord.messages.get(drawn.message_id)
    assert message is not None and not message.attachments


async def test_an_operators_block_applies_in_private_messages_too(stage: Stage) -> None:
    drawn = await busy(stage)
    here, there = await stage.ask("here"), await stage.ask("there", where=stage.discord.dm(stage.alice))
    await stage.client.moderation.block(EVERYWHERE, stage.alice.id, by=stage.bob.id)
    for job in (here, there):
        await stage.in_state(job.id, JobState.CANCELLED)
        await says(stage, job, DROPPED_BY_BLOCK)
    assert await state(stage, drawn) is JobState.RUNNING


async def test_a_pause_cancels_queued_jobs_and_lets_running_ones_finish(stage: Stage) -> None:
    drawn = await busy(stage)
    waiting, outside = await stage.ask("waits"), await stage.ask("outside", where=stage.discord.dm(stage.alice))
    panel = await (await stage.discord.slash(stage.bob, stage.general, "anima-admin")).response()
    panel = await stage.turned(panel, "Pause drawing", stage.bob)
    assert "1 queued job was cancelled." in panel.text
    await stage.in_state(waiting.id, JobState.CANCELLED)
    await says(stage, waiting, DROPPED_BY_PAUSE)
    assert await spent(stage, stage.alice, drawn.guild_id) == 0
    stage.engine.let_go()
    await stage.in_state(drawn.id, JobState.DELIVERED)
    await stage.in_state(outside.id, JobState.DELIVERED)


async def test_a_change_of_other_settings_in_a_paused_server_ends_nothing(stage: Stage) -> None:
    await busy(stage)
    waiting = await stage.ask("waits")
    panel = await (await stage.discord.slash(stage.bob, stage.general, "anima-admin")).response()
    await stage.discord.choose(stage.bob, panel, "anima-admin:open", ["safety"])
    assert await state(stage, waiting) is JobState.QUEUED


async def test_a_dropped_job_gives_the_reason_in_its_readers_language(stage: Stage) -> None:
    drawn = await busy(stage)
    private = await stage.ask("secret", stage.emi, private=True)
    await stage.client.moderation.drop_waiting(drawn.guild_id, by=stage.bob.id)
    await stage.in_state(private.id, JobState.CANCELLED)

    with speaking("ja"):
        sentence = say(DROPPED_BY_PAUSE)
    await says(stage, private, sentence)
    message = stage.discord.messages.get(private.message_id)
    assert message is not None and message.visible_to == stage.emi


async def test_a_server_that_removes_the_bot_has_its_jobs_ended_and_refunded(stage: Stage) -> None:
    drawn, waiting = await busy(stage), await stage.ask("waits")
    outside = await stage.ask("outside", where=stage.discord.dm(stage.alice))
    stage.discord.remove_bot(stage.discord.world.guild)
    for job, user in ((drawn, stage.emi), (waiting, stage.alice)):
        ended = await stage.in_state(job.id, JobState.CANCELLED)
        assert (ended.ended_by, ended.reason) == (None, DROPPED_BY_REMOVAL)
        assert await spent(stage, user, job.guild_id) == 0
    stage.engine.let_go()
    await stage.in_state(outside.id, JobState.DELIVERED)

    async def notified() -> bool:
        return all([(await stage.database.jobs.get(job.id)).notified for job in (drawn, waiting)])

    await until(notified)
    assert "waits" not in {request.prompt for request in stage.engine.requests}


async def test_others_have_their_turn_while_thousands_of_jobs_are_dropped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [await stage.ask("waits")] * 100
    turn_of: list[int] = []
    async with counted_turns() as turns:
        monkeypatch.setattr(stage.client.workers, "discard", lambda job_id: turn_of.append(turns()))
        await stage.client.moderation._discard(waiting)
    assert len(set(turn_of)) > 90


async def test_a_server_that_is_unavailable_keeps_its_jobs(stage: Stage) -> None:
    drawn, waiting = await busy(stage), await stage.ask("waits")
    guild = stage.discord.world.guild
    stage.discord.events.emit("guild_delete", {"id": str(guild.id), "unavailable": True})

    async def known() -> bool:
        cached = stage.client.get_guild(guild.id)
        return cached is not None and cached.unavailable

    await until(known)
    await stage.client.on_ready()
    assert [await state(stage, job) for job in (drawn, waiting)] == [JobState.RUNNING, JobState.QUEUED]


async def test_a_removal_while_the_bot_was_off_is_noticed_at_the_start(stage: Stage) -> None:
    drawn, waiting = await busy(stage), await stage.ask("waits")
    outside = await stage.ask("outside", where=stage.discord.dm(stage.alice))
    await stage.stop()
    await stage.discord.wait_until_gone()
    stage.discord.remove_bot(stage.discord.world.guild)
    stage.engine.hold()
    await stage.start()
    for job in (drawn, waiting):
        ended = await stage.in_state(job.id, JobState.CANCELLED)
        assert ended.reason == DROPPED_BY_REMOVAL
    stage.engine.let_go()
    await stage.in_state(outside.id, JobState.DELIVERED)


async def test_jobs_of_user_installs_continue_after_a_restart(stage: Stage) -> None:
    """In a server where the bot never was it was not removed either."""
    await busy(stage)
    carol, lounge = stage.discord.world.carol, stage.discord.world.lounge
    job = await stage.ask("elsewhere", carol, lounge)
    await stage.restart()
    await stage.in_state(job.id, JobState.DELIVERED)


@pytest.mark.parametrize("how", ["blocked", "paused"])
async def test_a_kill_between_a_block_or_a_pause_and_its_effect_changes_nothing(stage: Stage, how: str) -> None:
    await busy(stage)
    job = await stage.ask("waits")
    await with_buttons(stage, job)  # a block before would be one during the acceptance
    assert job.guild_id is not None
    if how == "blocked":
        await stage.database.servers.block(job.guild_id, stage.alice.id, by=stage.bob.id)
    else:
        await stage.database.servers.change(job.guild_id, {"paused": True}, by=stage.bob.id)
    await stage.restart()
    await stage.in_state(job.id, JobState.CANCELLED)
    await says(stage, job, DROPPED_BY_BLOCK if how == "blocked" else DROPPED_BY_PAUSE)
    assert await spent(stage, stage.alice, job.guild_id) == 0


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_job_running_in_a_crash_is_not_restarted_after_a_pause(stage: Stage, everywhere: bool) -> None:
    drawn = await busy(stage)
    assert drawn.guild_id is not None
    if everywhere:
        await stage.database.servers.change(EVERYWHERE, {"operator_pause": "repairs"}, by=stage.bob.id)
    else:
        await stage.database.servers.change(drawn.guild_id, {"paused": True}, by=stage.bob.id)
    await (
        stage.client.moderation.drop_forbidden()
    )  # as at the start, before jobs that were being drawn are queued again
    ended = await stage.in_state(drawn.id, JobState.CANCELLED)
    assert ended.reason == (DROPPED_BY_OPERATOR if everywhere else DROPPED_BY_PAUSE)
    assert await spent(stage, stage.emi, drawn.guild_id) == 0


async def test_an_operators_block_found_at_the_start_ends_private_jobs(stage: Stage) -> None:
    await busy(stage)
    job = await stage.ask("1girl", where=stage.discord.dm(stage.alice))
    await stage.database.servers.block(EVERYWHERE, stage.alice.id, by=stage.bob.id)
    await stage.client.moderation.drop_forbidden()
    assert (await stage.in_state(job.id, JobState.CANCELLED)).reason == DROPPED_BY_BLOCK


async def test_a_moderator_cancels_somebodys_job_by_its_button(stage: Stage) -> None:
    await busy(stage)
    job = await stage.ask("1girl")
    message = await with_buttons(stage, job)
    await (await stage.press(message, "Cancel", stage.bob)).acknowledged()
    ended = await stage.in_state(job.id, JobState.CANCELLED)
    assert ended.ended_by == stage.bob.id
    await says(stage, job, f"Cancelled by a moderator. <@{stage.alice.id}> was not charged.")
    assert await spent(stage, stage.alice, job.guild_id) == 0
    assert job.guild_id is not None
    [entry] = await until(partial(stage.database.servers.audit_log, job.guild_id))
    assert (entry.what, entry.actor_id, entry.subject_id) == ("cancel", stage.bob.id, stage.alice.id)


async def test_a_moderator_cancels_by_the_menu_after_a_restart(stage: Stage) -> None:
    await busy(stage)
    job = await stage.ask("1girl")
    await stage.stop()
    await stage.discord.wait_until_gone()
    stage.engine.hold()
    await stage.start()
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    answer = await (await stage.discord.menu(stage.bob, message, "Anima: cancel")).response()
    assert answer.text == f"Cancelled. <@{stage.alice.id}> was not charged." and answer.is_ephemeral
    await stage.in_state(job.id, JobState.CANCELLED)


async def test_a_moderator_of_another_channel_cancels_nothing_here(stage: Stage) -> None:
    """Whose rights are in one channel alone forges the button of another channel's job."""
    gallery: Channel = stage.discord.world.gallery
    job = await busy(stage)
    _, mine = await busy_elsewhere(stage, gallery)
    allow = Permissions.MANAGE_MESSAGES
    stage.discord.set_overwrite(gallery, stage.alice, allow=allow)
    sent = await stage.press_forged(mine, f"anima:cancel:{job.id}", stage.alice)
    assert "only cancel your own" in (await sent.followup()).text
    assert await state(stage, job) is JobState.RUNNING
    stage.discord.set_overwrite(stage.general, stage.alice, allow=allow)

    async def arrived() -> bool:
        channel = stage.client.get_channel(stage.general.id)
        return bool(channel and stage.alice.id in {target.id for target in channel.overwrites})

    await until(arrived)
    await (await stage.press_forged(mine, f"anima:cancel:{job.id}", stage.alice)).acknowledged()
    await stage.in_state(job.id, JobState.CANCELLED)


async def busy_elsewhere(stage: Stage, channel: Channel) -> tuple[Job, Message]:
    job = await stage.ask("mine", where=channel)
    return job, await with_buttons(stage, job)


async def test_nobody_else_cancels_a_private_job(stage: Stage) -> None:
    await busy(stage)
    secret, shown = await stage.ask("secret", private=True), await stage.ask("shown")
    message = await with_buttons(stage, shown)
    sent = await stage.press_forged(message, f"anima:cancel:{secret.id}", stage.bob)
    assert "only cancel your own" in (await sent.followup()).text
    assert await state(stage, secret) is JobState.QUEUED


async def test_a_moderators_lost_permission_counts_at_once(stage: Stage) -> None:
    await busy(stage)
    job = await stage.ask("1girl")
    message = await with_buttons(stage, job)
    moderator = stage.discord.world.moderator
    stage.general.overwrites[moderator.id] = Overwrite(moderator, Permissions(0), Permissions.MANAGE_MESSAGES)
    sent = await stage.press(message, "Cancel", stage.bob)
    assert "only cancel your own" in (await sent.followup()).text


@pytest.mark.parametrize("how", ["blocked", "paused", "paused everywhere"])
async def test_a_block_or_a_pause_while_a_job_is_being_accepted_lets_nothing_through(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It found nothing to end yet, and the job was judged before it."""
    accept, guild_id = stage.database.jobs.accept, stage.general.guild.id

    async def accept_late(*arguments: object, **more: object) -> object:
        match how:
            case "blocked":
                await stage.client.moderation.block(guild_id, stage.alice.id, by=stage.bob.id)
            case "paused":
                await stage.database.servers.change(guild_id, {"paused": True}, by=stage.bob.id)
                await stage.client.moderation.drop_waiting(guild_id, by=stage.bob.id)
            case _:
                await stage.database.servers.change(EVERYWHERE, {"operator_pause": "repairs"}, by=stage.bob.id)
                await stage.client.moderation.drop_all_waiting(by=stage.bob.id)
        return await accept(*arguments, **more)

    monkeypatch.setattr(stage.database.jobs, "accept", accept_late)
    job = await stage.ask("1girl")
    ended = await stage.in_state(job.id, JobState.CANCELLED)
    assert ended.reason == (DROPPED_BY_BLOCK if how == "blocked" else DROPPED_BY_PAUSE)
    assert await spent(stage, stage.alice, guild_id) == 0
    assert stage.engine.requests == []


@pytest.mark.parametrize("private", [False, True])
async def test_a_refusal_after_a_job_was_accepted_is_only_for_who_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    accept, guild_id = stage.database.jobs.accept, stage.general.guild.id

    async def accept_early(*arguments: object, **more: object) -> object:
        accepted = await accept(*arguments, **more)
        await stage.database.servers.block(guild_id, stage.alice.id, by=stage.bob.id)
        return accepted

    monkeypatch.setattr(stage.database.jobs, "accept", accept_early)
    sent = await stage.slash("imagine", prompt="1girl", private=private)
    told = await (sent.response() if private else sent.followup())
    assert told.is_ephemeral and "can't draw here" in told.text
    assert not stage.discord.messages_in(stage.general, stage.bob)
    assert await spent(stage, stage.alice, guild_id) == 0


async def test_an_image_delivered_elsewhere_during_a_deletion_is_deleted_there(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    before = replace(job, state=JobState.RENDERED, message_id=None)
    await delete_job(stage.client, before, by=stage.alice.id)
    assert stage.discord.messages.get(message.id) is None
    assert (await stage.database.images.of_job(job.id))[0].deleted_at is not None
