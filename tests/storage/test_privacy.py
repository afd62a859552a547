"""Exporting, erasing, and deleting after some days."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import event, select

from storage.database import Database
from storage.quotas import WINDOW
from storage.schema import charges, commits, metadata
from tests.storage.requests import (
    ADMIN,
    ALICE,
    BOB,
    GUILD,
    MESSAGE,
    a_request,
    accepted,
    an_image,
    delivered,
    rendered,
    running,
)
from tests.storage.rules import broken_rules

SECRET_WORDS = "umbrella of a very particular green"


async def live_a_little(database: Database, clock) -> None:
    """Alice leaves something in every table, also in the rows of others."""
    await delivered(database, images=2, prompt=SECRET_WORDS, negative_prompt=SECRET_WORDS, interaction_token="token")
    clock.turn(WINDOW)
    [image] = (await database.images.history(ALICE, limit=1)).images
    await delivered(database, user_id=BOB, parent_picture_id=image.id, message_id=MESSAGE + 1)
    await rendered(database)
    failed = await running(database)
    await database.jobs.fail(failed.id, SECRET_WORDS)
    moderated = await accepted(database, user_id=BOB)
    await database.jobs.cancel(moderated.id, by=ALICE)
    await database.preferences.change_defaults(ALICE, {"negative": SECRET_WORDS})
    await database.preferences.save_preset(ALICE, "mine", {"prompt": SECRET_WORDS})
    await database.preferences.save_draft(ALICE, "edit", {"prompt": SECRET_WORDS})
    await database.servers.change(GUILD, {"steps": 30}, by=ALICE)
    await database.servers.block(GUILD, BOB, by=ALICE, reason="rude")
    await database.servers.block(GUILD, ALICE, by=ADMIN, reason="rude too")
    await database.shares.begin(image.id, by=ADMIN, guild_id=GUILD, channel_id=3009)
    await database.reports.add(moderated.id, ALICE, limit=5, period=WINDOW)
    await database.unanswered.add(a_request(SECRET_WORDS))


async def places_of(database: Database, user_id: int) -> set[str]:
    """Every column of every table in which a person's id stands, alone or within something."""
    places = set()
    async with database.transactions.reading() as connection:
        for table in metadata.sorted_tables:
            if table is commits:  # random numbers, in which any may occur
                continue
            for row in await connection.execute(select(table)):
                places |= {
                    f"{table.name}.{name}" for name, value in row._asdict().items() if str(user_id) in str(value)
                }
    return places


async def test_an_export_has_everything_stored_but_no_secrets_and_nobody_else(database, clock):
    await live_a_little(database, clock)
    exported = await database.privacy.export(ALICE)
    as_text = json.dumps(exported)
    assert {name: len(rows) for name, rows in exported.items()} == {
        "jobs": 3,
        "pictures": 3,
        "charges": 3,
        "preferences": 1,
        "presets": 1,
        "drafts": 1,
        "blocks": 1,
        "audit": 3,
        "reports": 1,
        "shares": 1,
        "unanswered": 1,
    }
    assert as_text.count(SECRET_WORDS) >= 6
    assert "token" not in {key for row in exported["jobs"] for key in row if key == "interaction_token"}
    assert not any(str(other) in as_text for other in (BOB, ADMIN))


async def test_everything_with_a_persons_id_is_exported(database, clock):
    await live_a_little(database, clock)
    tables = {place.split(".")[0] for place in await places_of(database, ALICE)}
    assert tables == set(await database.privacy.export(ALICE))


async def test_erasing_leaves_only_blocks_and_the_charges_of_a_day(database, clock):
    await live_a_little(database, clock)
    erased = await database.privacy.erase(ALICE)
    assert (erased.jobs, erased.images, erased.messages) == (3, 3, ((3001, MESSAGE),))
    assert await places_of(database, ALICE) == {"blocks.user_id", "charges.user_id"}
    assert (await database.servers.block_of(ALICE, GUILD)).reason == "rude too"
    assert (await database.servers.block_of(BOB, GUILD)).blocked_by is None

    clock.turn(WINDOW)
    await database.privacy.forget_older_than()
    assert await places_of(database, ALICE) == {"blocks.user_id"}


async def test_erasing_refunds_what_was_not_delivered_and_nothing_else(database):
    await delivered(database, cost=1.0)
    live = await rendered(database, cost=2.0)
    await database.privacy.erase(ALICE)
    assert (await database.quotas.usage(live.account)).spent == 1.0
    assert await database.jobs.rendered(live.id, [an_image()]) is None
    async with database.transactions.reading() as connection:
        rows = (await connection.execute(select(charges.c.state, charges.c.spent, charges.c.job_id))).all()
    assert sorted(map(tuple, rows)) == [("refunded", 0.0, None), ("settled", 1.0, None)]


async def test_erasing_does_not_touch_others(database, clock):
    await live_a_little(database, clock)
    before = await database.images.history(BOB)
    await database.privacy.erase(ALICE)
    after = await database.images.history(BOB)
    assert [image.id for image in after.images] == [image.id for image in before.images]
    assert after.images[0].parent_picture_id is None
    assert await broken_rules(database) == []


async def test_erased_words_leave_the_files_of_the_disk(sqlite, sqlite_file, clock):
    def files_have_them() -> bool:
        return any(SECRET_WORDS.encode() in file.read_bytes() for file in sqlite_file.parent.iterdir())

    await live_a_little(sqlite, clock)
    assert files_have_them()
    await sqlite.privacy.erase(ALICE)
    assert not files_have_them()


async def test_erasing_somebody_unknown_is_nothing(database):
    erased = await database.privacy.erase(ALICE)
    assert (erased.jobs, erased.images, erased.messages, erased.unfinished) == (0, 0, (), ())


async def test_erasing_returns_the_jobs_that_it_ended(database):
    await delivered(database)
    failed = await running(database)
    await database.jobs.fail(failed.id, "out of memory")
    await accepted(database, user_id=BOB)
    unfinished = (await rendered(database), await running(database), await accepted(database))
    erased = await database.privacy.erase(ALICE)
    assert [job.id for job in erased.unfinished] == sorted(job.id for job in unfinished)


async def test_prompts_are_forgotten_after_their_time_and_pictures_after_theirs(database, clock):
    old = await delivered(database, prompt=SECRET_WORDS, parameters={"seed": 1})
    waiting = await accepted(database, prompt=SECRET_WORDS)
    clock.turn(timedelta(days=30))
    new = await delivered(database, prompt=SECRET_WORDS)

    forgotten = await database.privacy.forget_older_than(prompts=timedelta(days=10), images=timedelta(days=31))
    assert (forgotten.prompts, forgotten.jobs) == (1, 0)
    [image] = await database.images.of_job(old.id)
    assert (image.prompt, image.metadata, image.notes, image.seed) == ("", "", (), 7)
    assert (await database.jobs.get(old.id)).parameters == {}
    assert (await database.jobs.get(waiting.id)).prompt == SECRET_WORDS
    found = await database.images.history(ALICE, words="umbrella")
    assert [image.job_id for image in found.images] == [new.id]

    forgotten = await database.privacy.forget_older_than(prompts=timedelta(days=10), images=timedelta(days=10))
    assert (forgotten.prompts, forgotten.jobs) == (0, 1)
    assert await database.jobs.get(old.id) is None
    assert await database.images.get(image.id) is None
    assert await database.jobs.get(waiting.id)
    assert await broken_rules(database) == []


async def test_a_picture_in_a_gallery_stays_known_without_its_words_until_it_is_removed_there(database, clock):
    job = await delivered(database, prompt=SECRET_WORDS)
    [image] = await database.images.of_job(job.id)
    share = await database.shares.begin(image.id, by=ALICE, guild_id=GUILD, channel_id=3009)
    clock.turn(timedelta(days=30))
    for _ in range(2):
        forgotten = await database.privacy.forget_older_than(images=timedelta(days=10))
        assert forgotten.jobs == 0
        assert await database.shares.get(share.id) == share
    assert (await database.jobs.get(job.id)).prompt == "" and (await database.images.get(image.id)).metadata == ""
    assert (await database.images.history(ALICE)).images == ()
    assert await broken_rules(database) == []
    await database.shares.end(share.id)
    assert (await database.privacy.forget_older_than(images=timedelta(days=10))).jobs == 1
    assert await database.jobs.get(job.id) is None


async def test_words_are_forgotten_wherever_they_stand(database, clock):
    negative = await delivered(database, prompt="", negative_prompt=SECRET_WORDS)
    refused = await running(database, prompt="")
    await database.jobs.refuse(refused.id, SECRET_WORDS)
    clock.turn(timedelta(days=2))
    assert (await database.privacy.forget_older_than(prompts=timedelta(days=1))).prompts == 2
    assert (await database.jobs.get(negative.id)).negative_prompt == ""
    assert (await database.jobs.get(refused.id)).reason is None


async def test_an_unfinished_job_keeps_its_token_because_only_discord_knows_when_it_ends(database, clock):
    job = await accepted(database, interaction_token="secret", token_expires_at=clock.now)
    clock.turn(timedelta(hours=1))
    await database.privacy.forget_older_than()
    assert (await database.jobs.get(job.id)).interaction_token == "secret"


async def test_expired_data_is_always_deleted(database, clock):
    expires = clock.now + timedelta(minutes=15)
    job = await delivered(database, interaction_token="secret", token_expires_at=expires)
    await database.privacy.forget_older_than()
    assert (await database.jobs.get(job.id)).interaction_token == "secret"
    clock.turn(WINDOW)
    await database.privacy.forget_older_than()
    assert (await database.jobs.get(job.id)).interaction_token is None
    async with database.transactions.reading() as connection:
        assert (await connection.execute(select(charges.c.user_id, charges.c.spent))).all() == [(None, 1.0)]


async def test_forgetting_goes_in_batches(database, clock, monkeypatch):
    monkeypatch.setattr("storage.privacy.BATCH", 3)
    for _ in range(7):
        await delivered(database, interaction_token="secret", token_expires_at=clock.now)
    clock.turn(timedelta(days=2))
    with changed_rows(database) as counts:
        forgotten = await database.privacy.forget_older_than(prompts=timedelta(days=1))
    assert forgotten.prompts == 7
    assert {table: max(each) for table, each in counts.items()} == {"jobs": 3, "charges": 3, "pictures": 3}
    assert (await database.privacy.forget_older_than(images=timedelta(days=1))).jobs == 7


@contextmanager
def changed_rows(database: Database) -> Iterator[Mapping[str, list[int]]]:
    """How many rows each statement changes meanwhile, by table."""
    counts: dict[str, list[int]] = {}

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE "):
            counts.setdefault(statement.split()[1], []).append(cursor.rowcount)

    event.listen(database._engine.sync_engine, "after_cursor_execute", note)
    yield counts
    event.remove(database._engine.sync_engine, "after_cursor_execute", note)
