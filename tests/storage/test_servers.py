"""Servers' settings, blocks and the audit log."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from storage.servers import EVERYWHERE, StoredSettings
from tests.storage.requests import ADMIN, ALICE, BOB, GUILD


async def test_a_server_starts_without_settings(database):
    assert await database.servers.settings(GUILD) == StoredSettings(0, {})


async def test_a_change_leaves_other_keys_alone_and_is_logged_by_key(database, clock):
    await database.servers.change(GUILD, {"steps": 30, "quota": {"role": 5}}, by=ADMIN)
    clock.turn(timedelta(minutes=1))
    changed = await database.servers.change(GUILD, {"steps": None, "paused": True, "quota": {"role": 5}}, by=BOB)
    assert changed == StoredSettings(2, {"quota": {"role": 5}, "paused": True})
    assert await database.servers.settings(GUILD) == changed
    assert await database.servers.settings(GUILD + 1) == StoredSettings(0, {})
    log = await database.servers.audit_log(GUILD)
    assert [(entry.actor_id, entry.what, entry.before, entry.after) for entry in log] == [
        (BOB, "paused", None, True),
        (BOB, "steps", 30, None),
        (ADMIN, "quota", None, {"role": 5}),
        (ADMIN, "steps", None, 30),
    ]
    assert log[0].at == clock.now


async def test_settings_of_several_servers_come_in_the_order_asked_for(database):
    here = await database.servers.change(GUILD, {"steps": 30}, by=ADMIN)
    everywhere = await database.servers.change(EVERYWHERE, {"paused": True}, by=ADMIN)
    unchanged = StoredSettings(0, {})
    assert await database.servers.settings_of(GUILD, GUILD + 1, EVERYWHERE) == (here, unchanged, everywhere)
    changed = await database.servers.change(GUILD, {"steps": 31}, by=ADMIN)
    assert await database.servers.settings_of(EVERYWHERE, GUILD) == (everywhere, changed)


async def test_a_change_to_the_same_is_none(database):
    first = await database.servers.change(GUILD, {"steps": 30}, by=ADMIN)
    assert await database.servers.change(GUILD, {"steps": 30, "cfg": None}, by=ADMIN) == first
    assert len(await database.servers.audit_log(GUILD)) == 1


async def test_changes_at_once_lose_nothing(database):
    await asyncio.gather(*(database.servers.change(GUILD, {f"key {n}": n}, by=ADMIN) for n in range(8)))
    settings = await database.servers.settings(GUILD)
    assert settings == StoredSettings(8, {f"key {n}": n for n in range(8)})
    assert len(await database.servers.audit_log(GUILD)) == 8


async def test_a_change_based_on_outdated_settings_is_ignored(database):
    first = await database.servers.change(GUILD, {"a": 1}, by=ADMIN, seen=0)
    assert await database.servers.change(GUILD, {"a": 2}, by=ADMIN, seen=0) is None
    assert (await database.servers.change(GUILD, {"a": 3}, by=ADMIN, seen=first.version)).settings == {"a": 3}
    assert len(await database.servers.audit_log(GUILD)) == 2


async def test_without_its_line_in_the_log_there_is_no_change(database):
    async with database.transactions.writing() as connection:
        await connection.execute(text("ALTER TABLE audit RENAME TO audit_elsewhere"))
    for change in (
        database.servers.change(GUILD, {"steps": 30}, by=ADMIN),
        database.servers.block(GUILD, ALICE, by=ADMIN),
    ):
        with pytest.raises(Exception, match="audit"):
            await change
    assert await database.servers.settings(GUILD) == StoredSettings(0, {})
    assert await database.servers.block_of(ALICE, GUILD) is None


async def test_a_block_applies_in_its_server_until_it_is_lifted(database, clock):
    assert await database.servers.block(GUILD, ALICE, by=ADMIN, reason="spam")
    assert not await database.servers.block(GUILD, ALICE, by=BOB, reason="again")
    block = await database.servers.block_of(ALICE, GUILD)
    assert (block.reason, block.blocked_by, block.blocked_at) == ("spam", ADMIN, clock.now)
    assert await database.servers.blocks(GUILD) == (block,)
    assert await database.servers.block_of(ALICE, GUILD + 1) is None
    assert await database.servers.block_of(ALICE, None) is None
    assert await database.servers.block_of(BOB, GUILD) is None

    assert await database.servers.unblock(GUILD, ALICE, by=BOB)
    assert not await database.servers.unblock(GUILD, ALICE, by=BOB)
    assert await database.servers.block_of(ALICE, GUILD) is None
    assert [
        (entry.what, entry.actor_id, entry.subject_id, entry.before, entry.after)
        for entry in await database.servers.audit_log(GUILD)
    ] == [("unblock", BOB, ALICE, "spam", None), ("block", ADMIN, ALICE, None, "spam")]


async def test_the_operators_block_applies_everywhere(database):
    await database.servers.block(EVERYWHERE, ALICE, by=ADMIN)
    assert await database.servers.block_of(ALICE, GUILD)
    assert await database.servers.block_of(ALICE, None)


async def test_the_audit_log_comes_in_pages(database):
    for number in range(7):
        await database.servers.change(GUILD, {"steps": number + 1}, by=ADMIN)
    first = await database.servers.audit_log(GUILD, limit=4)
    second = await database.servers.audit_log(GUILD, limit=4, before=first[-1].id)
    assert [entry.after for entry in first + second] == [7, 6, 5, 4, 3, 2, 1]


async def test_moderation_of_a_user_is_an_entry_of_the_log(database):
    await database.servers.record(GUILD, "delete", by=ADMIN, subject_id=ALICE)
    [entry] = await database.servers.audit_log(GUILD)
    assert (entry.what, entry.actor_id, entry.subject_id, entry.after) == ("delete", ADMIN, ALICE, None)


async def test_the_blocks_of_several_people_are_found_at_once(database):
    await database.servers.block(GUILD, ALICE, by=ADMIN)
    await database.servers.block(EVERYWHERE, BOB, by=ADMIN)
    await database.servers.block(GUILD, ADMIN, by=BOB)
    assert await database.servers.blocked_among([ALICE, BOB]) == {(ALICE, GUILD), (BOB, EVERYWHERE)}
