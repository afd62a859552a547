"""No acknowledged request is lost, whatever fails before there is a job."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import discord
import pytest
from sqlalchemy import event

from bot.components.base import DATABASE_UNAVAILABLE
from bot.jobs import submission
from bot.jobs.acknowledgement import acknowledgements
from bot.jobs.delivery import outbox
from bot.jobs.submission import Submitter
from storage.backend.errors import StorageUnavailable
from storage.schema import JobState
from storage.unanswered import Unanswered, UnansweredRequest
from tests.bot.harness import Stage, interaction_tasks, until

pytestmark = pytest.mark.both_databases


@contextmanager
def dying(owner: type, method: str) -> Iterator[None]:
    """Simulates a kill of the bot in a method: nothing after it runs."""

    async def die(*args: Any, **kwargs: Any) -> None:
        raise asyncio.CancelledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, die)
        yield


async def all_handled() -> bool:
    return not interaction_tasks()


async def lost(stage: Stage, interaction: Any) -> None:
    """Wait until only an interaction's row is left."""
    await until(all_handled)
    assert [each.interaction_id for each in await stage.database.unanswered.all()] == [interaction.id]
    assert await stage.database.jobs.by_interaction(interaction.id) is None


async def nothing_unanswered(stage: Stage) -> None:
    async def none_left() -> bool:
        return await stage.database.unanswered.all() == ()

    await until(none_left)


@pytest.mark.parametrize("private", [False, True])
async def test_an_acknowledged_command_continues_after_a_crash(stage: Stage, private: bool) -> None:
    with dying(Submitter, "submit"):
        sent = await stage.slash("imagine", prompt="secret", private=private, count=2)
        await sent.acknowledged()
        await lost(stage, sent)
    await stage.restart()
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    job = await stage.in_state(job.id, JobState.DELIVERED)
    assert (job.private, job.message_id) == (private, sent.interaction.original_id)
    assert any("secret" in each.text for each in stage.discord.messages_in(stage.general, stage.bob)) != private
    assert len(stage.engine.requests) == 2
    await nothing_unanswered(stage)


async def test_a_request_that_cannot_be_read_keeps_no_other_from_going_on(stage: Stage) -> None:
    damaged = UnansweredRequest(
        interaction_id=1, interaction_token="token", user_id=stage.alice.id, payload={"type": 2}, private=False
    )
    with dying(Submitter, "submit"):
        sent = await stage.slash("imagine", prompt="1girl")
        await sent.acknowledged()
        await lost(stage, sent)
    await stage.database.unanswered.add(damaged)
    await stage.restart()
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    await stage.in_state(job.id, JobState.DELIVERED)
    await nothing_unanswered(stage)


async def test_an_acknowledged_button_continues_after_a_crash(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    with dying(Submitter, "submit"):
        pressed = await stage.press(message, "Re-roll")
        await pressed.acknowledged()
        await lost(stage, pressed)
    await stage.restart()
    job = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
    assert (await stage.in_state(job.id, JobState.DELIVERED)).kind == "reroll"
    await nothing_unanswered(stage)


async def test_a_refusal_after_a_crash_is_private(stage: Stage) -> None:
    with dying(Submitter, "preset"):
        sent = await stage.slash("imagine", prompt="1girl", preset="nowhere")
        await sent.acknowledged()
        await lost(stage, sent)
    await stage.restart()
    await nothing_unanswered(stage)
    mine = [each.text for each in stage.discord.messages_in(stage.general, stage.alice)]
    assert sum("nowhere" in text for text in mine) == 1
    assert not any("nowhere" in each.text for each in stage.discord.messages_in(stage.general, stage.bob))


async def test_a_refusal_that_can_no_longer_be_told_is_not_tried_again_at_every_start(stage: Stage) -> None:
    with dying(Submitter, "preset"):
        sent = await stage.slash("imagine", prompt="1girl", preset="nowhere")
        await sent.acknowledged()
        await lost(stage, sent)
    stage.discord.clock.turn(16 * 60)
    await stage.restart()
    await nothing_unanswered(stage)


async def test_a_refusal_leaves_nothing_behind(stage: Stage) -> None:
    await (await stage.slash("imagine", prompt="1girl", preset="nowhere")).acknowledged()
    await until(all_handled)
    await nothing_unanswered(stage)


async def test_what_was_answered_is_forgotten_once_the_database_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)
    answered, refused = Unanswered.answered, [StorageUnavailable("it is locked"), StorageUnavailable("it is locked")]

    async def answered_late(self: Unanswered, interaction_id: int) -> None:
        if refused:
            raise refused.pop()
        await answered(self, interaction_id)

    monkeypatch.setattr(Unanswered, "answered", answered_late)
    await (await stage.slash("imagine", prompt="1girl", preset="nowhere")).acknowledged()
    await until(all_handled)
    await nothing_unanswered(stage)
    assert not refused


async def test_a_request_answered_before_the_crash_is_not_answered_again(stage: Stage) -> None:
    with dying(Unanswered, "answered"):
        await (await stage.slash("imagine", prompt="1girl", preset="nowhere")).acknowledged()
        await until(all_handled)
    await stage.draw("1boy")
    before = len(stage.engine.requests)
    await stage.restart()
    await nothing_unanswered(stage)
    assert len(stage.engine.requests) == before


async def test_a_request_that_was_never_acknowledged_is_dropped(stage: Stage) -> None:
    with dying(discord.InteractionResponse, "defer"):
        sent = await stage.slash("imagine", prompt="1girl")
        await lost_soon(stage, sent)
    await stage.restart()
    await nothing_unanswered(stage)
    assert await stage.database.jobs.by_interaction(sent.id) is None


async def lost_soon(stage: Stage, interaction: Any) -> None:
    async def written() -> bool:
        return await stage.database.unanswered.all() != ()

    await until(written)
    await lost(stage, interaction)


async def test_an_expired_interaction_is_answered_in_a_new_message(stage: Stage) -> None:
    with dying(Submitter, "submit"):
        sent = await stage.slash("imagine", prompt="1girl")
        await sent.acknowledged()
        await lost(stage, sent)
    stage.discord.clock.turn(16 * 60)
    await stage.restart()
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    job = await stage.in_state(job.id, JobState.DELIVERED)
    assert job.message_id != sent.interaction.original_id
    assert stage.discord.messages.get(job.message_id).attachments


async def test_the_user_is_told_if_the_database_takes_too_long(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "DATABASE_TIMEOUT", 0.01)
    add = Unanswered.add

    async def slowly(self: Unanswered, request: UnansweredRequest) -> bool:
        await asyncio.sleep(0.05)
        return await add(self, request)

    monkeypatch.setattr(Unanswered, "add", slowly)
    answer = await stage.answer("imagine", prompt="1girl")
    assert (answer.text, answer.is_ephemeral) == (DATABASE_UNAVAILABLE, True)


async def test_only_one_row_is_written_before_the_acknowledgement(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    statements: list[str] = []
    fault = stage.discord.faults.hold("POST", "^/interactions/", times=2)

    def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    event.listen(stage.database._engine.sync_engine, "before_cursor_execute", executed)
    await stage.slash("imagine", prompt="1boy")
    await stage.press(message, "Re-roll", stage.bob)

    async def both_are_held() -> bool:
        return fault.hits == 2

    await until(both_are_held)
    of_the_database = re.compile("BEGIN|(INSERT INTO|DELETE FROM) commits|UPDATE claims")
    asked = [each for each in statements if not of_the_database.match(each)]
    fault.release()
    assert len(asked) == 2
    assert all(each.startswith("INSERT INTO unanswered") for each in asked)


async def test_privacy_is_known_from_memory_as_soon_as_it_changes(stage: Stage) -> None:
    async def is_private(**options: Any) -> bool:
        sent = await stage.slash("imagine", prompt="1girl", **options)
        return bool((await until(lambda: stage.database.jobs.by_interaction(sent.id))).private)

    preferences = stage.database.preferences
    assert not await is_private()
    await preferences.change_defaults(stage.alice.id, {"private": True})
    await preferences.save_preset(stage.alice.id, "open", {"private": False})
    assert (await is_private(), await is_private(preset="open")) == (True, False)
    await stage.restart()
    assert (await is_private(), await is_private(preset="open")) == (True, False)
    await stage.database.privacy.erase(stage.alice.id)
    assert not await is_private()


async def test_a_private_refusal_is_shown_once_even_if_the_bot_is_killed_after_it(stage: Stage) -> None:
    with dying(Unanswered, "answered"):
        await (await stage.slash("imagine", prompt="1girl", preset="nowhere", private=True)).acknowledged()
        await until(all_handled)
    await stage.restart()
    await nothing_unanswered(stage)
    told = [each for each in stage.discord.messages_in(stage.general, stage.alice) if "nowhere" in each.text]
    assert len(told) == 1


async def test_a_network_error_after_the_acceptance_deletes_no_message(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(submission, "send_followup", broken)
    stage.engine.hold()
    sent = await stage.slash("imagine", prompt="1girl, long_hair")
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    await until(all_handled)
    stage.engine.let_go()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    assert stage.discord.messages.get(job.message_id) is not None
