"""With a million rows a question without an index is a question without an answer, so SQLite is asked for its plans."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from storage.database import Database
from storage.quotas import Account
from storage.schema import JobState
from tests.storage.requests import ADMIN, ALICE, GUILD, MESSAGE, accepted, an_image, delivered, running

TABLES = ("jobs", "pictures", "charges", "renders", "audit", "reports", "shares", "unanswered")
WHOLE = tuple(f"SCAN {table}" for table in TABLES)

SMALL = "USING INDEX ix_jobs_untold"  # holds only what is asked for


async def ask_everything(database: Database, clock: Any) -> None:
    [image] = await database.images.of_job((await delivered(database)).id)
    job = await running(database, parent_picture_id=image.id)
    await database.jobs.put_back([job.id])
    await database.jobs.start([job.id])
    await database.source_images.of_jobs([job.id, job.id + 1])
    await database.jobs.rendered(job.id, [an_image()])
    await database.jobs.fail(job.id, "no memory")
    await database.jobs.mark_reposted(job.id)
    await database.jobs.mark_notified(job.id)
    await database.jobs.requeue_interrupted()
    await database.jobs.live_of(ALICE)
    await database.jobs.live()
    await database.jobs.servers_of_live("in_own_server")
    await database.jobs.cancel_of_person(ALICE, GUILD, "blocked", by=ADMIN)
    await database.jobs.cancel_of_person(ALICE, None, "blocked")
    await database.jobs.cancel_in_server(GUILD, "paused", states=[JobState.QUEUED])
    await database.jobs.by_interaction(job.interaction_id)
    await database.jobs.by_message(MESSAGE)
    await database.jobs.live_in_messages([MESSAGE, MESSAGE + 1])
    await database.jobs.summary()
    await database.jobs.statistics(clock.now, GUILD)
    await database.jobs.statistics(clock.now)
    await database.quotas.usage(Account(ALICE, GUILD))
    await database.quotas.spent_lately(timedelta(hours=6))
    await database.images.get(image.id)
    await database.images.children(image.id)
    await database.jobs.newest_from(job.id, 0, kind="redraw", user_id=ALICE)
    await database.images.renders(job.id)
    await database.images.history(ALICE)
    await database.images.history(ALICE, before=image.id)
    await database.images.history(ALICE, after=image.id)
    await database.images.history(ALICE, words="red hair", before=image.id)
    await database.images.history(ALICE, words="red hair", after=image.id)
    await database.servers.change(GUILD, {"steps": 30}, by=ADMIN)
    await database.servers.audit_log(GUILD, before=5)
    await database.servers.blocked_among([ALICE])
    await database.reports.add(job.id, ALICE, limit=5, period=timedelta(hours=1))
    await database.reports.refusal(job.id, ALICE, limit=5, period=timedelta(hours=1))
    share = await database.shares.begin(image.id, by=ALICE, guild_id=GUILD, channel_id=1)
    await database.shares.posted(share.id, MESSAGE)
    await database.shares.get(share.id)
    await database.shares.of_image(image.id)
    await database.shares.of_job(job.id)
    await database.shares.is_shown(job.id, 0, 1)
    await database.shares.in_message(MESSAGE)
    await database.shares.messages_deleted([MESSAGE, MESSAGE + 1])
    await database.shares.erased()
    await database.shares.end(share.id)
    await database.images.delete([image.id])
    await database.images.delete_message(MESSAGE)
    await database.unanswered.answered(job.interaction_id)
    await database.privacy.export(ALICE)
    await database.privacy.erase(ALICE)
    await accepted(database)
    clock.turn(timedelta(days=9))
    await database.privacy.forget_older_than(prompts=timedelta(days=1), images=timedelta(days=2))


@contextmanager
def statements(database: Database) -> Iterator[dict[str, Any]]:
    """The statements that the database runs meanwhile, with their parameters."""
    asked: dict[str, Any] = {}

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            asked[statement] = parameters

    event.listen(database._engine.sync_engine, "before_cursor_execute", note)
    yield asked
    event.remove(database._engine.sync_engine, "before_cursor_execute", note)


async def plans(database: Database, asked: dict[str, Any]) -> dict[str, list[str]]:
    found = {}
    async with database.transactions.reading() as connection:
        for statement, parameters in asked.items():
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found[statement] = [row[3] for row in plan]
    return found


async def test_no_question_reads_a_whole_table(sqlite, clock):
    with statements(sqlite) as asked:
        await ask_everything(sqlite, clock)
    assert len(asked) > 40
    scans = {}
    for statement, steps in (await plans(sqlite, asked)).items():
        if found := [step for step in steps if step.startswith(WHOLE) and not step.endswith(SMALL)]:
            scans[statement] = found
    assert scans == {}


async def test_a_search_stops_at_the_end_of_its_page(sqlite):
    """The order comes from the index itself. Sorting would mean that everything found is read first."""
    with statements(sqlite) as asked:
        for way in ({}, {"before": 9}, {"after": 9}):
            await sqlite.images.history(ALICE, **way)
            await sqlite.images.history(ALICE, words="red hair", **way)
    assert len(asked) == 6
    for steps in (await plans(sqlite, asked)).values():
        assert not any("B-TREE" in step for step in steps)


async def test_usage_reads_only_the_charges_of_its_time(sqlite):
    with statements(sqlite) as asked:
        await sqlite.quotas.usage(Account(ALICE, GUILD))
        await sqlite.quotas.usage(Account(ALICE, None))
        await sqlite.quotas.spent_lately(timedelta(hours=6))
    assert len(asked) == 3
    for steps in (await plans(sqlite, asked)).values():
        assert steps[0].startswith("SEARCH charges USING COVERING INDEX") and "reserved_at>?" in steps[0]


async def test_a_servers_unfinished_jobs_are_found_among_its_finished_ones_by_an_index(sqlite):
    with statements(sqlite) as asked:
        await sqlite.jobs.cancel_in_server(GUILD, "paused", states=[JobState.QUEUED])
    [steps] = (await plans(sqlite, {each: asked[each] for each in asked if each.startswith("UPDATE jobs")})).values()
    assert "ix_jobs_guild_id_state (guild_id=? AND state=?)" in steps[0]
