"""One bot at a time draws on a database, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from storage.backend import drawing_claim, holder
from storage.backend.drawing_claim import ClaimLost
from storage.backend.types import DatabaseTime
from storage.database import Database
from storage.schema import claims
from tests.storage.requests import ALICE, UNLIMITED, accepted, an_image, an_imagine, delivered, rendered, running

ROOT = Path(__file__).parents[3]
CLAIMANT = """
import asyncio, sys
from storage.database import Database

async def claim():
    database = await Database.open(sys.argv[1])
    print(await database.lock(), flush=True)
    await database.claim.keep()

asyncio.run(claim())
"""


@contextmanager
def claimant(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the claim."""
    process = subprocess.Popen([sys.executable, "-c", CLAIMANT, url], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.communicate()  # closes its pipe too


@pytest.fixture
async def sleeper(url: str) -> AsyncIterator[Database]:
    """A bot that does not renew its claim. On SQLite it has no lock either, as if the file were a copy."""
    database = await Database.open(url)
    await database.lock()
    if database.claim._lock is not None:
        await database.claim._lock.release()
    yield database
    await database.close()


@pytest.fixture
async def successor(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.close()


async def expire(database: Database) -> None:
    """Make the last renewal longer ago than any claim lasts."""
    async with database.transactions.writing() as connection:
        long_ago = DatabaseTime(2 * drawing_claim.EXPIRES_AFTER)
        await connection.execute(update(claims).values(renewed_at=long_ago))


async def take_over(successor: Database) -> None:
    await expire(successor)
    assert await successor.lock()


async def test_one_process_at_a_time_has_the_claim(url):
    first, second = await Database.open(url), await Database.open(url)
    assert await first.lock() and await first.lock()
    assert not await second.lock()
    await first.close()
    assert await second.lock()
    await accepted(second, user_id=ALICE)
    await second.close()


async def test_a_claim_ends_with_a_killed_process_at_once(url, successor, monkeypatch):
    monkeypatch.setattr(drawing_claim, "EXPIRES_AFTER", timedelta(hours=1))
    with claimant(url) as process:
        assert not await successor.lock()
        process.kill()
        process.wait()
        async with asyncio.timeout(60):  # less than it takes to expire
            while not await successor.lock():
                await asyncio.sleep(0.01)


async def test_a_new_bot_is_refused_while_another_renews_its_claim(url, successor, monkeypatch):
    monkeypatch.setattr(drawing_claim, "POLL_INTERVAL", 0.05)
    with claimant(url):
        assert not await successor.claim.take_or_refuse()


async def test_a_new_bot_waits_until_the_claim_of_a_dead_bot_on_another_machine_expires(postgresql_url, monkeypatch):
    monkeypatch.setattr(drawing_claim, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(drawing_claim, "EXPIRES_AFTER", timedelta(seconds=1))
    database = await Database.open(postgresql_url)
    elsewhere = "elsewhere 1 1 another-boot pid:[1] 0"
    async with database.transactions.writing() as connection:
        await connection.execute(update(claims).values(holder=elsewhere, renewed_at=DatabaseTime()))
    assert not await database.lock()
    assert await database.claim.take_or_refuse()
    await database.close()


async def test_a_dead_holder_does_not_keep_its_claim_where_the_databases_clock_was_set_back(
    postgresql_url, monkeypatch
):
    monkeypatch.setattr(drawing_claim, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(drawing_claim, "EXPIRES_AFTER", timedelta(seconds=1))
    database = await Database.open(postgresql_url)
    async with database.transactions.writing() as connection:
        tomorrow = DatabaseTime(-timedelta(days=1))
        await connection.execute(update(claims).values(holder="elsewhere 1 1 boot pid:[1] 0", renewed_at=tomorrow))
    assert not await database.lock()
    assert await asyncio.wait_for(database.claim.take_or_refuse(), 60)
    await database.close()


@pytest.mark.parametrize(("platform", "clock"), [("linux", "CLOCK_BOOTTIME"), ("darwin", "CLOCK_MONOTONIC")])
@pytest.mark.posix
def test_time_asleep_counts_for_a_claim(monkeypatch, platform, clock):
    """The clocks of Linux and macOS that go on while the machine sleeps, by their manuals."""
    if not hasattr(time, clock):
        pytest.skip(f"this system has no {clock}")
    asked = []
    monkeypatch.setattr(time, "clock_gettime", lambda which: asked.append(which) or 1.0)
    monkeypatch.setattr(sys, "platform", platform)
    drawing_claim._now()
    assert asked == [getattr(time, clock)]


@pytest.mark.posix
async def test_a_frozen_holder_on_one_machine_keeps_its_lock_on_a_file_and_loses_a_claim_on_a_server(url, successor):
    with claimant(url) as process:
        process.send_signal(signal.SIGSTOP)
        await expire(successor)
        assert await successor.lock() == (successor.claim._lock is None)


async def test_a_bot_that_slept_through_the_loss_of_the_claim_changes_nothing(sleeper, successor):
    waiting, drawn, finished = await accepted(sleeper), await running(sleeper), await rendered(sleeper)
    await take_over(successor)
    place = {"channel_id": 1, "message_id": 1, "attachments": {}}
    for change in (
        sleeper.jobs.start([waiting.id]),
        sleeper.jobs.put_back([drawn.id]),
        sleeper.jobs.requeue([drawn.id]),
        sleeper.jobs.rendered(drawn.id, [an_image()]),
        sleeper.jobs.delivered(finished.id, **place),
        sleeper.jobs.mark_reposted(finished.id),
        sleeper.jobs.fail(drawn.id, "it failed"),
        sleeper.jobs.refuse(finished.id, "it is refused"),
        sleeper.jobs.accept(an_imagine(), UNLIMITED),
        sleeper.jobs.requeue_interrupted(),
    ):
        with pytest.raises(ClaimLost):
            await change
    states = [(await successor.jobs.get(job.id)).state for job in (waiting, drawn, finished)]
    assert states == ["queued", "running", "rendered"]
    assert len(await successor.jobs.live()) == 3
    assert await sleeper.jobs.cancel(waiting.id, by=ALICE)  # anybody may, at any time


async def test_writing_after_a_sleep_raises_that_the_claim_is_lost(sleeper, successor):
    job = await accepted(sleeper)
    await take_over(successor)
    with pytest.raises(ClaimLost):
        await sleeper.jobs.start([job.id])
    assert not sleeper.claim.is_held
    await asyncio.wait_for(sleeper.claim.until_lost(), 30)


async def test_a_refusal_by_a_job_s_state_is_not_taken_for_a_lost_claim(sleeper):
    job = await delivered(sleeper)
    assert await sleeper.jobs.start([job.id]) == ()
    assert not await sleeper.jobs.fail(job.id, "too late")
    assert sleeper.claim.is_held


async def test_a_claim_that_is_renewed_does_not_expire(sleeper, successor, monkeypatch):
    monkeypatch.setattr(drawing_claim, "RENEW_INTERVAL", 0.01)
    await expire(successor)
    keeping = asyncio.create_task(sleeper.claim.keep())
    async with asyncio.timeout(30):
        while (await successor.claim._read()).renewed_at.year < 2026 or not await is_fresh(successor):
            await asyncio.sleep(0.01)
    if sleeper.claim._lock is None:
        assert not await successor.lock()
    await stop(keeping)


async def is_fresh(database: Database) -> bool:
    async with database.transactions.reading() as connection:
        fresh = claims.c.renewed_at > DatabaseTime(timedelta(seconds=25))
        return bool(await connection.scalar(claims.select().with_only_columns(fresh)))


async def test_the_loss_is_noticed_at_the_next_renewal_and_the_claim_taken_back_when_it_is_free(
    sleeper, successor, monkeypatch
):
    monkeypatch.setattr(drawing_claim, "RENEW_INTERVAL", 0.01)
    monkeypatch.setattr(drawing_claim, "POLL_INTERVAL", 0.01)
    job = await running(sleeper)
    await take_over(successor)
    keeping = asyncio.create_task(sleeper.claim.keep())
    await asyncio.wait_for(sleeper.claim.until_lost(), 30)
    assert not sleeper.claim.is_held
    await successor.close()
    await asyncio.wait_for(sleeper.claim.until_held(), 30)
    assert await sleeper.jobs.rendered(job.id, [an_image()])
    await stop(keeping)


async def test_an_error_that_nobody_thought_of_does_not_end_the_renewals(sleeper, monkeypatch, caplog):
    monkeypatch.setattr(drawing_claim, "RENEW_INTERVAL", 0.01)
    monkeypatch.setattr(drawing_claim, "POLL_INTERVAL", 0.01)
    renew, errors = drawing_claim.DrawingClaim._renew, [RuntimeError("permission denied for table claims")]

    async def renew_later(self):
        if errors:
            raise errors.pop()
        await renew(self)
        renewed.set()

    renewed = asyncio.Event()
    monkeypatch.setattr(drawing_claim.DrawingClaim, "_renew", renew_later)
    keeping = asyncio.create_task(sleeper.claim.keep())
    await asyncio.wait_for(renewed.wait(), 30)
    assert sleeper.claim.is_held and "permission denied" in caplog.text
    await stop(keeping)


async def test_a_claim_that_cannot_be_renewed_is_given_up_before_another_may_take_it(postgresql_url, monkeypatch):
    assert timedelta(seconds=drawing_claim.RENEW_TIMEOUT) < drawing_claim.EXPIRES_AFTER
    monkeypatch.setattr(drawing_claim, "RENEW_TIMEOUT", 0.2)
    monkeypatch.setattr(drawing_claim, "RENEW_INTERVAL", 0.05)
    database = await Database.open(postgresql_url)
    await database.lock()
    async with database.transactions.writing() as connection:
        await connection.execute(claims.select().with_for_update())  # so that the renewal waits
        keeping = asyncio.create_task(database.claim.keep())
        await asyncio.wait_for(database.claim.until_lost(), 30)
    await asyncio.wait_for(database.claim.until_held(), 30)
    await stop(keeping)
    await database.close()


async def test_the_holder_of_the_lock_keeps_the_claim_while_the_file_does_not_answer(sqlite_url, monkeypatch):
    monkeypatch.setattr(drawing_claim, "RENEW_TIMEOUT", 0.05)
    monkeypatch.setattr(drawing_claim, "RENEW_INTERVAL", 0.01)
    database = await Database.open(sqlite_url)
    await database.lock()
    async with database.transactions.writing():
        keeping = asyncio.create_task(database.claim.keep())
        await asyncio.sleep(0.3)
        assert database.claim.is_held
    await stop(keeping)
    await database.close()


async def test_nobody_takes_the_claim_between_a_comparison_and_its_commit(postgresql_url):
    first, second = await Database.open(postgresql_url), await Database.open(postgresql_url)
    await first.lock()
    async with first.transactions.writing() as connection:
        await connection.execute(update(claims).values(renewed_at=DatabaseTime(2 * drawing_claim.EXPIRES_AFTER)))
    async with first.transactions.writing() as connection:
        await first.claim.check(connection)
        taking = asyncio.create_task(second.lock())
        await asyncio.sleep(0.3)
        assert not taking.done()
    assert await taking
    await first.close()
    await second.close()


async def test_an_epoch_that_comes_twice_after_a_failover_is_told_apart_by_its_holder(sleeper, successor):
    """A standby may lack the newest changes: then another bot takes the claim with the same epoch."""
    job = await accepted(sleeper)
    async with successor.transactions.writing() as connection:
        await connection.execute(update(claims).values(holder="elsewhere 1 1 boot pid:[1] 0"))
    with pytest.raises(ClaimLost):
        await sleeper.jobs.start([job.id])


def test_a_holder_has_ended_if_its_process_is_not_there_any_more():
    here = holder.this_process()
    assert not holder.has_ended(here)
    if "-" in here.split():
        pytest.skip("this system does not tell when a process started")
    host, pid, started, boot, namespace, token = here.split()
    assert holder.has_ended(" ".join((host, pid, str(int(started) + 1), boot, namespace, token)))


@pytest.mark.parametrize(
    "elsewhere",
    ["", "nonsense", "host 1 1 another-boot pid:[1] 0", "host x 1 - - 0", "host 99999999 1 - - 0"],
)
def test_nobody_is_declared_dead_who_cannot_be_seen_from_here(elsewhere):
    assert not holder.has_ended(elsewhere)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
