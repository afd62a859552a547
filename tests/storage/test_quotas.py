"""Charges and quotas."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.database import Database
from storage.quotas import WINDOW, Account, Charge, Usage
from tests.storage import spender
from tests.storage.requests import ALICE, BOB, GUILD, accepted, delivered
from tests.storage.rules import broken_rules

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)

credits = st.integers(0, 5000).map(lambda thousandths: thousandths / 1000)
charges = st.builds(Charge, st.integers(0, 86399).map(lambda s: NOON + timedelta(seconds=s)), credits)
usages = st.lists(charges, max_size=8).map(lambda found: Usage(tuple(sorted(found, key=lambda charge: charge.at))))


@given(usages, credits, credits)
def test_room_comes_when_enough_has_lapsed_and_not_before(usage, cost, limit):
    def left_at(moment):
        return Usage(tuple(charge for charge in usage.charges if charge.at > moment - WINDOW))

    if usage.has_room(cost, limit):
        return
    moment = usage.room_at(cost, limit)
    if moment is None:
        assert not Usage(()).has_room(cost, limit)
    else:
        assert left_at(moment).has_room(cost, limit)
        assert not left_at(moment - timedelta(microseconds=1)).has_room(cost, limit)


@given(st.integers(1, 200), st.integers(1, 200))
def test_thousandths_add_up_exactly(parts, thousandths):
    usage = Usage((Charge(NOON, thousandths / 1000),) * parts)
    assert usage.spent == parts * thousandths / 1000
    assert usage.has_room(thousandths / 1000, (parts + 1) * thousandths / 1000)


def test_no_limit_always_has_room():
    assert Usage((Charge(NOON, 1e9),)).has_room(1e9, None)


async def test_usage_is_of_one_account_and_of_24_hours(database, clock):
    await accepted(database, cost=1.25)
    await accepted(database, cost=2.0, guild_id=None)
    await accepted(database, cost=4.0, user_id=BOB)
    assert (await database.quotas.usage(Account(ALICE, GUILD))).charges == (Charge(clock.now, 1.25),)
    assert (await database.quotas.usage(Account(ALICE, None))).spent == 2.0
    clock.turn(WINDOW)
    assert (await database.quotas.usage(Account(ALICE, GUILD))).spent == 0


async def test_lately_counts_a_person_everywhere(database, clock):
    await accepted(database, cost=8.0)
    clock.turn(timedelta(hours=2))
    await delivered(database, cost=1.0)
    await accepted(database, cost=2.0, guild_id=None)
    refunded = await accepted(database, cost=4.0, user_id=BOB)
    await database.jobs.cancel(refunded.id, by=BOB)
    assert await database.quotas.spent_lately(timedelta(hours=1)) == {ALICE: 3.0, BOB: 0.0}


@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("inf")])
async def test_a_cost_that_makes_no_sense_is_not_booked(database, cost):
    with pytest.raises(Exception, match="is invalid"):
        await accepted(database, cost=cost)
    assert await database.jobs.live_of(ALICE) == ()


@pytest.mark.parametrize("same_interactions", [False, True])
async def test_two_bots_on_one_database_cannot_overspend(url, same_interactions):
    firsts = (1, 1) if same_interactions else (1, 1000)
    bots = [
        subprocess.Popen(
            [sys.executable, spender.__file__, url, str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for first in firsts
    ]
    for bot in bots:
        assert bot.stdout.readline() == "ready\n"
    for bot in bots:
        bot.stdin.write("go\n")
        bot.stdin.flush()
    taken = [int(bot.communicate()[0]) for bot in bots]

    database = await Database.open(url)
    jobs = await database.jobs.live_of(ALICE)
    assert len(jobs) == sum(taken) == spender.AFFORDABLE
    assert len({job.interaction_id for job in jobs}) == len(jobs)
    assert await broken_rules(database) == []
    assert (await database.quotas.usage(jobs[0].account)).spent == pytest.approx(spender.COST * spender.AFFORDABLE)
    await database.close()


async def test_a_request_without_a_job_is_charged_once_however_often_it_is_begun(database, clock):
    account = Account(ALICE, GUILD)
    for _ in range(2):
        assert await database.quotas.lacks_room(7, account, 0.1, 0.1) is None
        assert await database.quotas.charge(7, account, 0.1, 0.1) is None
    assert (await database.quotas.usage(account)).charges == (Charge(clock.now, 0.1),)
    assert (await database.quotas.usage_of_servers([GUILD], clock.now - WINDOW))[GUILD].credits == 0.1


async def test_a_request_without_room_is_not_charged_and_neither_is_one_that_is_taken_back(database):
    account = Account(ALICE, GUILD)
    await database.quotas.charge(7, account, 0.1, 0.1)
    for ask in (database.quotas.lacks_room, database.quotas.charge):
        usage = await ask(8, account, 0.1, 0.1)
        assert usage is not None and usage.spent == 0.1
    await database.quotas.undo_charge(7)
    assert (await database.quotas.usage(account)).spent == 0
    assert await database.quotas.charge(8, account, 0.1, 0.1) is None
    assert await database.quotas.charge(9, account, 1000, None) is None


@pytest.mark.parametrize("is_erased", [True, False])
async def test_requests_are_reduced_to_what_jobs_keep_after_a_day(database, clock, is_erased):
    await database.quotas.charge(7, Account(ALICE, GUILD), 0.1, None)
    clock.turn(WINDOW)
    if is_erased:
        await database.privacy.erase(ALICE)
    else:
        await database.privacy.forget_older_than()
    assert (await database.privacy.export(ALICE))["charges"] == []
    assert await database.quotas.lacks_room(7, Account(BOB, GUILD), 0.1, 0) is not None
