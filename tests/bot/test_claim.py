"""A bot that loses the claim on its database stops drawing at once and says so; when it has it back, it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import update

from bot import client
from bot.components import base
from bot.generation.compose import ModelInfo
from bot.jobs.delivery.transmission import Transmission
from bot.messages import job as messages
from bot.ops import health
from bot.rules.policy import PolicyRefusal, RefusalReason
from bot.sandbox import FakeDiscord
from bot.text.translation import say
from storage.backend import drawing_claim
from storage.backend.types import DatabaseTime
from storage.database import Database
from storage.jobs import Job, Jobs, Unfinished
from storage.schema import JobState, claims
from storage.unanswered import UnansweredRequest
from tests.bot.harness import TIMEOUT, Stage, interaction_tasks, until
from tests.storage.rules import broken_rules

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(drawing_claim, "RENEW_INTERVAL", 0.02)
    monkeypatch.setattr(drawing_claim, "POLL_INTERVAL", 0.02)
    monkeypatch.setattr(base, "OTHER_BOT_TIMEOUT", 0.0)
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


@pytest.fixture
async def rival(stage: Stage) -> AsyncIterator[Database]:
    """Another bot's view of the same database."""
    assert stage.url is not None
    database = await Database.open(stage.url)
    yield database
    await database.close()


async def take_over(stage: Stage, rival: Database) -> None:
    """The rival takes the claim, as if the bot had slept for a minute."""
    if stage.database.claim._lock is not None:  # with it, the bot would take the claim back at once
        await stage.database.claim._lock.release()
        stage.database.claim._lock = None
    async with rival.transactions.writing() as connection:
        await connection.execute(update(claims).values(renewed_at=DatabaseTime(2 * drawing_claim.EXPIRES_AFTER)))
        taking = update(claims).values(epoch=claims.c.epoch + 1, holder=rival.claim._name, renewed_at=DatabaseTime())
        await connection.execute(taking)
    await asyncio.wait_for(stage.database.claim.until_lost(), TIMEOUT)


async def release_claim(stage: Stage, rival: Database) -> None:
    async with rival.transactions.writing() as connection:
        await connection.execute(update(claims).values(holder=None))
    await asyncio.wait_for(stage.database.claim.until_held(), TIMEOUT)


async def test_drawing_stops_at_once_and_resumes_when_the_claim_is_back(stage: Stage, rival: Database) -> None:
    stage.engine.hold()
    drawn = await stage.in_state((await stage.ask("drawn")).id, JobState.RUNNING)
    waiting = await stage.ask("waiting", stage.bob)
    await take_over(stage, rival)
    await until(lambda: stopped(stage))
    stage.engine.let_go()
    await until(lambda: empty(stage))
    job = await rival.jobs.get(drawn.id)
    assert job is not None and job.state is JobState.RUNNING, "it is the rival's now"
    shown = [file.filename for message in stage.discord.messages_in(stage.general) for file in message.shown]
    assert set(shown) <= {messages.PREVIEW_NAME}
    await release_claim(stage, rival)
    for job_id in (drawn.id, waiting.id):
        assert (await stage.in_state(job_id, JobState.DELIVERED)).attempts == 1
    assert len([message for message in stage.discord.messages_in(stage.general) if message.shown]) == 2
    assert await broken_rules(stage.database) == []


async def stopped(stage: Stage) -> bool:
    return stage.engine.cancelled >= 1  # asleep, it begins again and is stopped again


async def empty(stage: Stage) -> bool:
    return len(stage.client.queue) == 0


async def test_jobs_that_the_rival_finished_are_not_repeated(stage: Stage, rival: Database) -> None:
    stage.engine.hold()
    first = await stage.in_state((await stage.ask("first")).id, JobState.RUNNING)
    second = await stage.ask("second", stage.bob)
    await take_over(stage, rival)
    assert await rival.jobs.cancel(second.id, by=None)
    await release_claim(stage, rival)
    stage.engine.let_go()
    await stage.in_state(first.id, JobState.DELIVERED)
    job = await rival.jobs.get(second.id)
    assert job is not None and job.state is JobState.CANCELLED


async def test_requests_without_the_claim_are_refused_privately(stage: Stage, rival: Database) -> None:
    await take_over(stage, rival)
    interaction = await stage.slash("imagine", prompt="1girl")
    told = await interaction.response()
    assert "another copy of me has taken over" in told.content and told.is_ephemeral
    assert await rival.jobs.by_interaction(interaction.id) is None
    await release_claim(stage, rival)
    await stage.draw("1girl")


async def test_what_the_rival_answered_is_left_alone(
    stage: Stage, rival: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot slept between the acknowledgement and the job; the rival found the request and went on with it."""
    model, asleep, awake = stage.client.submitter._model, asyncio.Event(), asyncio.Event()

    async def model_after_a_sleep() -> ModelInfo:
        asleep.set()
        await awake.wait()
        return await model()

    monkeypatch.setattr(stage.client.submitter, "_model", model_after_a_sleep)
    await stage.slash("imagine", prompt="1girl")
    await asyncio.wait_for(asleep.wait(), TIMEOUT)
    await take_over(stage, rival)
    request = await answer_as_rival(stage, rival)
    awake.set()
    await until(all_handled)
    assert [each.text for each in stage.discord.messages_in(stage.general)] == ["the rival's picture"]
    assert await rival.unanswered.all() == (request,), "it is the rival's to delete"
    await rival.unanswered.answered(request.interaction_id)
    await release_claim(stage, rival)


@pytest.mark.parametrize("is_back", [False, True])
@pytest.mark.parametrize("private", [False, True])
async def test_a_refusal_after_a_sleep_leaves_what_the_rival_answered_alone(
    stage: Stage, rival: Database, monkeypatch: pytest.MonkeyPatch, private: bool, is_back: bool
) -> None:
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def refusal_after_a_sleep(*asked: Any) -> PolicyRefusal:
        asleep.set()
        await awake.wait()
        return PolicyRefusal(RefusalReason.BLOCKED)

    monkeypatch.setattr(stage.client.submitter, "_permission", refusal_after_a_sleep)
    await stage.slash("imagine", prompt="1girl", private=private)
    await asyncio.wait_for(asleep.wait(), TIMEOUT)
    await take_over(stage, rival)
    request = await answer_as_rival(stage, rival)
    if is_back:
        await release_claim(stage, rival)
    awake.set()
    await until(all_handled)
    assert [each.text for each in stage.discord.messages_in(stage.general)] == ["the rival's picture"]
    await rival.unanswered.answered(request.interaction_id)
    if not is_back:
        await release_claim(stage, rival)


async def answer_as_rival(stage: Stage, rival: Database) -> UnansweredRequest:
    """The rival answers the one request that waits, which is returned."""
    [request] = await rival.unanswered.all()
    webhook = f"{stage.discord.api_url}/webhooks/{stage.client.application_id}/{request.interaction_token}"
    edit, content = f"{webhook}/messages/@original", {"content": "the rival's picture"}
    async with aiohttp.ClientSession() as http, http.patch(edit, json=content) as answer:
        assert answer.status == 200
    return request


async def all_handled() -> bool:
    return not interaction_tasks()


async def test_a_claim_that_is_back_before_all_has_stopped_is_noticed_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was slow, and is as slow to put back what was being drawn."""
    stage.engine.hold()
    drawn = await stage.in_state((await stage.ask("drawn")).id, JobState.RUNNING)
    waiting = await stage.ask("waiting", stage.bob)
    requeue, claim = Jobs.requeue, stage.database.claim

    async def requeue_late(self: Jobs, job_ids: Collection[int]) -> tuple[int, ...]:
        await claim.until_held()
        return await requeue(self, job_ids)

    monkeypatch.setattr(Jobs, "requeue", requeue_late)
    claim._lose("it was slow")
    await asyncio.wait_for(claim.until_held(), TIMEOUT)
    stage.engine.let_go()
    for job in (drawn, waiting):
        await stage.in_state(job.id, JobState.DELIVERED)
    assert stage.client.failure is None


async def test_whoever_asks_while_it_takes_long_to_go_on_is_told(
    stage: Stage, rival: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RECOVERY_TIMEOUT", 0.05)
    interrupted, may_go_on = Jobs.requeue_interrupted, asyncio.Event()

    async def requeue_slowly(self: Jobs, **how: bool) -> Unfinished:
        await may_go_on.wait()
        return await interrupted(self, **how)

    monkeypatch.setattr(Jobs, "requeue_interrupted", requeue_slowly)
    await take_over(stage, rival)
    await release_claim(stage, rival)
    told = await (await stage.slash("imagine", prompt="1girl", private=True)).response()
    assert say(base.DATABASE_UNAVAILABLE) in told.text
    may_go_on.set()
    await stage.client.recovered.wait()
    await stage.draw("1girl")


async def test_an_announcement_is_the_rival_s_to_go_on_with(
    stage: Stage, rival: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*ids: int | None) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(stage.client.server_lookup, "server", never)
    stage.client.announcements.send("hello", number=1)
    await take_over(stage, rival)

    async def given_up() -> bool:
        return not stage.client.announcements._sending

    await until(given_up)
    await release_claim(stage, rival)


async def test_the_bot_without_the_claim_is_not_ready(stage: Stage, rival: Database) -> None:
    bot = stage.client
    await bot.model()
    async with (
        health.serving(bot, bot.workers, stage.database, bot.metrics, "127.0.0.1", 0) as address,
        aiohttp.ClientSession() as http,
    ):
        await take_over(stage, rival)
        async with http.get(address + "/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, health.NOT_CLAIMED + "\n")
        await release_claim(stage, rival)
        async with http.get(address + "/readyz") as answer:
            assert answer.status == 200


async def test_stale_messages_are_not_sent_after_a_sleep(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another bot may have posted the images meanwhile, and a late edit would take their place."""
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    with monkeypatch.context() as asleep:
        asleep.setattr(drawing_claim.DrawingClaim, "is_held", property(lambda self: False))
        await until(lambda: stopped(stage))
        late = stage.client.delivery.show(job, messages.interruption_notice(job))
        await asyncio.gather(Transmission(late, name="late").task, return_exceptions=True)
        said = [str(each.body) for each in stage.discord.request_log.find("PATCH")]
        assert not any(messages.GOES_ON in each for each in said)
    stage.engine.let_go()
    stage.database.claim._lose("it slept")
    await stage.in_state(job.id, JobState.DELIVERED)


async def edited(job: Job) -> bool:
    """Whether no edit of the job's message is under way."""
    return not any(task.get_name() == f"status-{job.id}" for task in asyncio.all_tasks())


async def test_messages_deleted_without_the_claim_are_left_to_the_rival(stage: Stage, rival: Database) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    await take_over(stage, rival)
    await until(lambda: stopped(stage))
    await until(lambda: edited(job))  # an edit that was sent before may still learn of the deletion
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    stage.discord.delete(stage.bob, message)
    await asyncio.sleep(0.2)
    kept = await rival.jobs.get(job.id)
    assert kept is not None and kept.state is JobState.RUNNING
    stage.engine.let_go()
    await release_claim(stage, rival)
    await stage.in_state(job.id, JobState.CANCELLED)


async def test_the_bot_without_the_claim_can_be_stopped(stage: Stage, rival: Database) -> None:
    await take_over(stage, rival)
    await stage.stop()
    async with rival.transactions.writing() as connection:
        await connection.execute(update(claims).values(holder=None))
    await stage.discord.wait_until_gone()
    await stage.start()
    await stage.draw("1girl")
