"""A bot that loses the claim on its database stops drawing at once and says so; when it has it back, it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import update

from bot.components import base
from bot.jobs.delivery.transmission import Transmission
from bot.messages import job as messages
from bot.ops import health
from bot.sandbox import FakeDiscord
from storage.backend import drawing_claim
from storage.backend.types import DatabaseTime
from storage.database import Database
from storage.schema import JobState, claims
from tests.bot.harness import TIMEOUT, Stage, until
from tests.storage.rules import broken_rules

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(drawing_claim, "RENEW_EVERY", 0.02)
    monkeypatch.setattr(drawing_claim, "ASK_EVERY", 0.02)
    monkeypatch.setattr(base, "OTHER_BOT_FIRST", 0.0)
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


async def test_drawing_stops_at_once_and_goes_on_when_the_claim_is_back(stage: Stage, rival: Database) -> None:
    stage.engine.hold()
    drawn = await stage.in_state((await stage.ask("drawn")).id, JobState.RUNNING)
    waiting = await stage.ask("waiting", stage.bob)
    await take_over(stage, rival)
    await until(lambda: stopped(stage))
    stage.engine.let_go()
    await until(lambda: empty(stage))
    job = await rival.jobs.get(drawn.id)
    assert job is not None and job.state is JobState.RUNNING, "it is the rival's now"
    assert not [message for message in stage.discord.messages_in(stage.general) if message.shown]
    await release_claim(stage, rival)
    for job_id in (drawn.id, waiting.id):
        assert (await stage.in_state(job_id, JobState.DELIVERED)).attempts == 1
    assert len([message for message in stage.discord.messages_in(stage.general) if message.shown]) == 2
    assert await broken_rules(stage.database) == []


async def stopped(stage: Stage) -> bool:
    return stage.engine.cancelled == 1


async def empty(stage: Stage) -> bool:
    return len(stage.client.queue) == 0


async def test_what_the_rival_did_meanwhile_is_not_done_again(stage: Stage, rival: Database) -> None:
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


async def test_whoever_asks_meanwhile_is_told_privately_and_nothing_is_accepted(stage: Stage, rival: Database) -> None:
    await take_over(stage, rival)
    interaction = await stage.slash("imagine", prompt="1girl")
    told = await interaction.response()
    assert "another copy of me has taken over" in told.content and told.is_ephemeral
    assert await rival.jobs.by_interaction(interaction.id) is None
    await release_claim(stage, rival)
    await stage.draw("1girl")


async def test_it_is_not_ready_meanwhile(stage: Stage, rival: Database) -> None:
    client = stage.client
    await client.model()
    async with (
        health.serving(client, client.workers, stage.database, client.metrics, "127.0.0.1", 0) as address,
        aiohttp.ClientSession() as http,
    ):
        await take_over(stage, rival)
        async with http.get(address + "/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, health.NOT_CLAIMED + "\n")
        await release_claim(stage, rival)
        async with http.get(address + "/readyz") as answer:
            assert answer.status == 200


async def test_nothing_that_was_written_before_a_sleep_is_sent_after_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another bot may have posted the images meanwhile, and a late edit would take their place."""
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    with monkeypatch.context() as asleep:
        asleep.setattr(drawing_claim.DrawingClaim, "is_held", property(lambda self: False))
        await until(lambda: stopped(stage))
        await asyncio.sleep(0.1)  # for what was on its way
        edits = len(stage.discord.request_log.find("PATCH"))
        late = stage.client.delivery.show(job, messages.interruption_notice(job))
        await asyncio.gather(Transmission(late, name="late").task, return_exceptions=True)
        assert len(stage.discord.request_log.find("PATCH")) == edits
    stage.engine.let_go()
    stage.database.claim._lose("it slept")
    await stage.in_state(job.id, JobState.DELIVERED)


async def test_messages_deleted_meanwhile_are_the_rival_s_business(stage: Stage, rival: Database) -> None:
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    await take_over(stage, rival)
    await until(lambda: stopped(stage))
    await asyncio.sleep(0.2)  # an edit that was sent before may still learn of the deletion
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    stage.discord.delete(stage.bob, message)
    await asyncio.sleep(0.2)
    kept = await rival.jobs.get(job.id)
    assert kept is not None and kept.state is JobState.RUNNING
    stage.engine.let_go()
    await release_claim(stage, rival)
    await stage.in_state(job.id, JobState.CANCELLED)


async def test_it_can_be_stopped_meanwhile(stage: Stage, rival: Database) -> None:
    await take_over(stage, rival)
    await stage.stop()
    async with rival.transactions.writing() as connection:
        await connection.execute(update(claims).values(holder=None))
    await stage.discord.wait_until_gone()
    await stage.start()
    await stage.draw("1girl")
