"""Retention: what is old goes, at the start and every hour, and trouble with that is nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.ops import retention
from bot.ops.retention import Retention
from bot.ops.settings import Settings
from storage.backend.errors import StorageUnavailable
from storage.database import Database
from storage.jobs import Accepted, Allowance, NewJob
from tests.bot.harness import Stage, until

ALICE = 7


class RetentionClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> RetentionClock:
    return RetentionClock()


@pytest.fixture
async def database(tmp_path: Path, clock: RetentionClock) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path}/anima.db", clock)
    yield database
    await database.close()


async def cancelled_job(database: Database, interaction_id: int = 1) -> int:
    new = NewJob(
        interaction_id=interaction_id,
        user_id=ALICE,
        channel_id=1,
        guild_id=None,
        kind="imagine",
        cost=1,
        prompt="1girl",
    )
    accepted = await database.jobs.accept(new, Allowance())
    assert isinstance(accepted, Accepted)
    await database.jobs.cancel(accepted.job.id, by=ALICE)
    return accepted.job.id


@asynccontextmanager
async def kept(database: Database, **days: float) -> AsyncIterator[None]:
    running = asyncio.create_task(Retention(database.privacy, Settings(_env_file=None, **days)).run())
    yield
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def stored_prompt(database: Database, job_id: int) -> str | None:
    job = await database.jobs.get(job_id)
    return None if job is None else job.prompt


async def test_prompts_older_than_the_limit_are_deleted_at_the_start(database: Database, clock: RetentionClock) -> None:
    old = await cancelled_job(database)
    clock.now += timedelta(days=2)
    new = await cancelled_job(database, 2)
    async with kept(database, prompts_kept_days=1.5):
        await until(lambda: _is(database, old, ""))
    assert await stored_prompt(database, new) == "1girl"


async def test_images_are_deleted_with_their_jobs(database: Database, clock: RetentionClock) -> None:
    old = await cancelled_job(database)
    clock.now += timedelta(days=2)
    async with kept(database, pictures_kept_days=1):
        await until(lambda: _is(database, old, None))


async def test_nothing_is_deleted_without_a_limit(database: Database, clock: RetentionClock) -> None:
    old = await cancelled_job(database)
    clock.now += timedelta(days=30_000)
    done = asyncio.Event()
    forget = database.privacy.forget_older_than

    async def seen(**ages: Any) -> Any:
        forgotten = await forget(**ages)
        done.set()
        return forgotten

    database.privacy.forget_older_than = seen  # type: ignore[method-assign]
    async with kept(database):
        await done.wait()
    assert await stored_prompt(database, old) == "1girl"


@pytest.mark.parametrize("error", [StorageUnavailable("The database is busy."), RuntimeError("a bug")])
async def test_after_an_error_it_is_tried_again_the_next_time(
    database: Database,
    clock: RetentionClock,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retention, "INTERVAL", timedelta(0))
    forget, errors = database.privacy.forget_older_than, [error]

    async def fails_once(**ages: Any) -> Any:
        if errors:
            raise errors.pop()
        return await forget(**ages)

    monkeypatch.setattr(database.privacy, "forget_older_than", fails_once)
    old = await cancelled_job(database)
    clock.now += timedelta(days=2)
    async with kept(database, prompts_kept_days=1):
        await until(lambda: _is(database, old, ""))
    assert "was not deleted" in caplog.text


async def test_retention_runs_with_the_bot_and_stops_with_it(stage: Stage) -> None:
    def running() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == "retention"]

    assert len(running()) == 1
    await stage.stop()
    assert not running()
    await stage.discord.wait_until_gone()
    await stage.start()


async def _is(database: Database, job_id: int, prompt: str | None) -> bool:
    return await stored_prompt(database, job_id) == prompt
