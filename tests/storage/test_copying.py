"""Everything is moved from one database to another, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from storage.backend import copying, drawing_claim
from storage.backend.clock import utc_now
from storage.backend.copying import copy_database
from storage.backend.errors import DatabaseRefused
from storage.database import Database
from storage.quotas import Account
from storage.schema import jobs, metadata, pictures, preferences
from tests.migrated_database import put_migrated
from tests.postgresql_server import PostgresqlServer
from tests.storage.requests import (
    ADMIN,
    ALICE,
    GUILD,
    UNLIMITED,
    a_request,
    accepted,
    an_imagine,
    delivered,
    rendered,
    running,
)
from tests.storage.rules import broken_rules


@pytest.fixture(params=["to PostgreSQL", "to SQLite"])
def urls(request: pytest.FixtureRequest, tmp_path: Path, postgresql_url: str) -> tuple[str, str]:
    sqlite = f"sqlite:///{tmp_path}/anima.db"
    return (sqlite, postgresql_url) if request.param == "to PostgreSQL" else (postgresql_url, sqlite)


@pytest.fixture
async def source(urls: tuple[str, str], postgresql_server: PostgresqlServer) -> AsyncIterator[Database]:
    await put_migrated(urls[0], postgresql_server)
    database = await Database.open(urls[0])
    await fill(database)
    yield database
    await database.close()


@pytest.fixture
async def target(urls: tuple[str, str], postgresql_server: PostgresqlServer) -> AsyncIterator[Database]:
    await put_migrated(urls[1], postgresql_server)
    database = await Database.open(urls[1])
    yield database
    await database.close()


async def fill(database: Database) -> None:
    """Something in every table."""
    parent = await delivered(database, images=2, prompt="a \N{SNOWMAN} 'quoted'\\ \udc80 prompt")
    [first, _] = await database.images.of_job(parent.id)
    await delivered(database, parent_picture_id=first.id, message_id=5)
    await rendered(database, images=2, parameters={"seed": 2**63, "cfg": 4.5, "none": None})
    await running(database, locale="ja")
    await database.jobs.fail((await running(database)).id, "it failed")
    await database.jobs.accept(an_imagine(interaction_id=1), UNLIMITED, source=bytes(range(256)) * 4000, mask=b"mask")
    await database.unanswered.add(a_request())
    await database.preferences.change_defaults(ALICE, {"steps": 12, "private": None})
    await database.preferences.save_preset(ALICE, "mine", {"cfg": 1.5})
    await database.preferences.save_draft(ALICE, "form", {"prompt": "\0"})
    await database.servers.change(GUILD, {"paused": False}, by=ADMIN)
    await database.servers.block(GUILD, ALICE, reason="a reason", by=ADMIN)
    await database.reports.add(parent.id, ADMIN, limit=5, period=timedelta(hours=1))
    await database.shares.begin(first.id, by=ADMIN, guild_id=GUILD, channel_id=7)
    last = await delivered(database)
    async with database.transactions.writing() as connection:  # its id is not given out again
        await connection.execute(jobs.delete().where(jobs.c.id == last.id))
        await connection.execute(update(pictures).values(seed=2**64 - 1))


async def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    async with database.transactions.reading() as connection:
        return {
            table.name: [tuple(row) for row in await connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.tables.values()
            if table.name not in ("claims", "commits")
        }


async def test_every_row_arrives_and_the_copy_is_sound(source, target, monkeypatch):
    monkeypatch.setattr(copying, "ROWS", 2)
    monkeypatch.setattr(copying, "FILES", 1)
    before = await contents(source)
    assert all(before.values()), "the test has something in every table"
    heard: list[tuple[str, int, int]] = []
    rows = await copy_database(source, target, lambda *progress: heard.append(progress))
    assert await contents(target) == before
    assert rows == {name: len(before[name]) for name in rows} and set(rows) == set(before)
    total = sum(rows.values())
    assert heard[0] == ("copy", 0, total) and ("copy", total, total) in heard and heard[-1] == ("compare", total, total)
    assert await broken_rules(target) == []
    assert (await target.images.history(ALICE, words="snowman \N{SNOWMAN}")) == (
        await source.images.history(ALICE, words="snowman \N{SNOWMAN}")
    )
    assert await target.quotas.usage(Account(ALICE, GUILD)) == await source.quotas.usage(Account(ALICE, GUILD))


async def test_the_copy_continues_without_reusing_an_id(source, target):
    used = max(job_id for (job_id, *_) in (await contents(source))["jobs"])
    await copy_database(source, target)
    new = await accepted(target)
    assert new.id == used + 2, "the one after the latest was deleted"
    assert [started.id for started in await target.jobs.start([new.id])] == [new.id]
    await delivered(target, message_id=77)


async def test_the_copy_takes_new_rows_in_every_table(source, target):
    """On PostgreSQL each table with ids of its own has a counter, which the copied rows do not move on."""
    await copy_database(source, target)
    await target.jobs.accept(an_imagine(interaction_id=2), UNLIMITED, source=b"another image", mask=b"another mask")
    await delivered(target, message_id=77)
    await target.preferences.save_draft(ALICE, "another", {})
    await target.servers.change(GUILD, {"paused": True}, by=ADMIN)
    [image, *_] = await target.images.of_job((await delivered(target, message_id=78)).id)
    await target.reports.add(image.job_id, ADMIN, limit=5, period=timedelta(hours=1))
    await target.shares.begin(image.id, by=ADMIN, guild_id=GUILD, channel_id=7)
    assert await broken_rules(target) == []


async def test_a_database_that_is_not_empty_is_left_as_it_is(source, target):
    await accepted(target)
    before = await contents(target)
    with pytest.raises(DatabaseRefused, match=r"not empty .*jobs, charges"):
        await copy_database(source, target)
    assert await contents(target) == before


async def test_a_database_that_is_empty_is_not_taken_for_the_bots(urls, target):
    source = await Database.open(urls[0])
    with pytest.raises(DatabaseRefused, match=r"is empty\. Is its address right"):
        await copy_database(source, target)
    await source.close()


async def test_a_file_that_does_not_exist_is_not_copied_from(tmp_path):
    with pytest.raises(DatabaseRefused, match="There is no database"):
        await Database.open(f"sqlite:///{tmp_path}/misspelt.db", must_exist=True)
    assert not list(tmp_path.iterdir())


async def test_a_server_that_sorts_texts_in_another_order_is_copied_to(
    tmp_path, postgresql_server, postgresql_url, monkeypatch
):
    monkeypatch.setattr(copying, "ROWS", 2)
    try:
        await postgresql_server.execute(
            "DROP DATABASE IF EXISTS sorted",
            "CREATE DATABASE sorted TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en'",
        )
    except Exception as error:
        pytest.skip(f"this PostgreSQL has no ICU: {error}")
    source = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    target = await Database.open(postgresql_server.url("sorted"))
    for name in ("b", "A", "é", "a", "B", "Z"):
        await source.preferences.save_preset(ALICE, name, {})
    rows = await copy_database(source, target)
    assert rows["presets"] == 6 == len((await contents(target))["presets"])
    await source.close()
    await target.close()


@pytest.mark.parametrize("where", ["source", "target"])
async def test_nothing_is_copied_while_a_bot_draws(source, target, where, urls, monkeypatch):
    monkeypatch.setattr(drawing_claim, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(drawing_claim, "RENEW_INTERVAL", 0.05)
    bot = await Database.open(urls[0] if where == "source" else urls[1])
    assert await bot.lock()
    keeping = asyncio.create_task(bot.claim.keep())
    with pytest.raises(DatabaseRefused, match="A bot is using the database"):
        await copy_database(source, target)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await bot.close()
    assert not any((await contents(target)).values())


async def test_a_copy_that_fails_halfway_leaves_nothing_and_can_be_made_again(source, target, monkeypatch):
    real = copying._copy_counters

    async def fail(*_: object) -> None:
        raise RuntimeError("the power failed")

    monkeypatch.setattr(copying, "_copy_counters", fail)
    with pytest.raises(RuntimeError):
        await copy_database(source, target)
    assert not any((await contents(target)).values())
    monkeypatch.setattr(copying, "_copy_counters", real)
    await copy_database(source, target)


async def test_a_row_that_reads_differently_is_named_and_nothing_is_kept(source, target, monkeypatch):
    real = copying._copy_parents

    async def forge(old: object, new: object) -> None:
        await real(old, new)
        await new.execute(update(preferences).values(changed_at=utc_now()))

    monkeypatch.setattr(copying, "_copy_parents", forge)
    with pytest.raises(DatabaseRefused, match=f"preferences with user_id {ALICE} reads differently"):
        await copy_database(source, target)
    assert not any((await contents(target)).values())


async def test_a_row_that_postgresql_refuses_is_named(tmp_path, postgresql_url):
    source = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    target = await Database.open(postgresql_url)
    job = await accepted(source)
    async with source.transactions.writing() as connection:  # SQLite takes it
        await connection.execute(text("UPDATE jobs SET kind = :long"), {"long": "x" * 1000})
    with pytest.raises(DatabaseRefused, match=f"A row of jobs could not be copied .* id {job.id} and"):
        await copy_database(source, target)
    await source.close()
    await target.close()
