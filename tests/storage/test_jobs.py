"""Jobs, their states and limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from typing import Any

import pytest
from sqlalchemy import event

from storage.backend import transactions
from storage.database import Database
from storage.jobs import Accepted, Allowance, AlreadyAccepted, OverQuota, QueueSummary, TooManyWaiting
from storage.schema import JobState
from tests.storage.requests import (
    ADMIN,
    ALICE,
    BOB,
    CHANNEL,
    GUILD,
    MESSAGE,
    UNLIMITED,
    accepted,
    an_image,
    an_imagine,
    delivered,
    rendered,
    running,
)
from tests.storage.rules import broken_rules
from tests.watched_loop import counted_turns


async def test_a_job_comes_back_as_it_was_asked_for(database, clock):
    parent = await delivered(database)
    [image] = await database.images.of_job(parent.id)
    asked = an_imagine(
        guild_id=None,
        kind="vary",
        prompt="青い髪, café 🎨",
        negative_prompt="worst quality",
        parameters={"seeds": [2**64 - 1], "loras": [{"name": "a", "strength": 0.8}]},
        parent_picture_id=image.id,
        interaction_token="secret",
        token_expires_at=clock.now + timedelta(minutes=15),
        cost=2.125,
        private=True,
        spoiler=True,
        locale="ja",
    )
    verdict = await database.jobs.accept(asked, UNLIMITED)

    job = await database.jobs.get(verdict.job.id)
    assert job == verdict.job
    assert all(getattr(job, name) == value for name, value in vars(asked).items())
    assert (job.state, job.attempts, job.queued_at) == (JobState.QUEUED, 0, clock.now)


async def test_a_job_is_found_by_its_interaction_and_by_its_message(database):
    job = await accepted(database, message_id=MESSAGE)
    assert (await database.jobs.by_interaction(job.interaction_id)).id == job.id
    assert (await database.jobs.by_message(MESSAGE)).id == job.id
    assert await database.jobs.by_message(MESSAGE + 1) is None


async def test_the_unfinished_jobs_of_some_messages_are_found(database):
    waiting = await accepted(database, message_id=1)
    await accepted(database, message_id=2)
    done = await delivered(database, message_id=3)
    found = await database.jobs.live_in_messages([waiting.message_id, done.message_id, 4])
    assert [job.id for job in found] == [waiting.id]


async def test_one_interaction_is_accepted_once(database):
    asked = an_imagine(cost=3.0)
    first = await database.jobs.accept(asked, UNLIMITED)
    again = await database.jobs.accept(asked, UNLIMITED)
    assert again == AlreadyAccepted(first.job)
    assert (await database.quotas.usage(asked.account)).spent == 3.0


async def test_a_person_waits_with_no_more_jobs_than_allowed(database):
    allowance = Allowance(waiting=2)
    first = await database.jobs.accept(an_imagine(), allowance)
    await database.jobs.accept(an_imagine(), allowance)
    assert await database.jobs.accept(an_imagine(), allowance) == TooManyWaiting(2, 2)
    assert isinstance(await database.jobs.accept(an_imagine(user_id=BOB), allowance), Accepted)
    assert isinstance(await database.jobs.accept(an_imagine(guild_id=None), allowance), Accepted)
    await database.jobs.start([first.job.id])
    assert isinstance(await database.jobs.accept(an_imagine(), allowance), Accepted)


async def test_a_quota_of_24_hours_slides(database, clock):
    allowance = Allowance(credits=3.0)
    noon = clock.now
    await database.jobs.accept(an_imagine(cost=2.0), allowance)
    clock.turn(timedelta(hours=1))
    await database.jobs.accept(an_imagine(cost=1.0), allowance)

    assert await database.jobs.accept(an_imagine(cost=0.5), allowance) == OverQuota(
        3.0, 0.5, 3.0, noon + timedelta(hours=24)
    )
    assert await database.jobs.accept(an_imagine(cost=2.5), allowance) == OverQuota(
        3.0, 2.5, 3.0, noon + timedelta(hours=25)
    )
    assert await database.jobs.accept(an_imagine(cost=3.5), allowance) == OverQuota(3.0, 3.5, 3.0, None)
    assert isinstance(await database.jobs.accept(an_imagine(cost=0.5, user_id=BOB), allowance), Accepted)
    assert isinstance(await database.jobs.accept(an_imagine(cost=0.5, guild_id=None), allowance), Accepted)

    clock.now = noon + timedelta(hours=24)
    assert isinstance(await database.jobs.accept(an_imagine(cost=2.0), allowance), Accepted)


@pytest.mark.parametrize("end", ["cancel", "fail", "refuse"])
@pytest.mark.parametrize("so_far", [accepted, running, rendered])
async def test_a_job_that_ends_without_pictures_costs_nothing(database, so_far, end):
    job = await so_far(database)
    how = {"cancel": (ALICE,), "fail": ("the GPU fell off",), "refuse": ("not in this channel",)}[end]
    assert await getattr(database.jobs, end)(job.id, *how)
    assert not await getattr(database.jobs, end)(job.id, *how)
    assert (await database.quotas.usage(job.account)).spent == 0
    assert await broken_rules(database) == []


@pytest.mark.parametrize("end", ["delivered", "cancel", "fail", "refuse"])
async def test_an_end_is_final(database, end):
    if end == "delivered":
        job = await delivered(database)
    else:
        job = await rendered(database)
        await getattr(database.jobs, end)(job.id, 1 if end == "cancel" else "why")
    ended, spent = await database.jobs.get(job.id), (await database.quotas.usage(job.account)).spent
    jobs = database.jobs
    assert await jobs.start([job.id]) == await jobs.put_back([job.id]) == ()
    assert await jobs.rendered(job.id, [an_image()]) is None
    assert not await jobs.delivered(job.id, channel_id=CHANNEL, message_id=1, attachments={})
    assert not await jobs.cancel(job.id, by=BOB)
    assert not await jobs.fail(job.id, "again")
    assert not await jobs.refuse(job.id, "again")
    assert (await jobs.get(job.id), (await database.quotas.usage(job.account)).spent) == (ended, spent)


async def test_delivery_settles_lets_go_of_the_files_and_says_where_the_pictures_are(database):
    job = await rendered(database, images=2, cost=2.0)
    files = await database.images.renders(job.id)
    assert [file.content for file in files] == [b"the file", b"the file"]
    assert await database.jobs.delivered(
        job.id, channel_id=CHANNEL + 1, message_id=MESSAGE, attachments={0: 50, 1: 51}, cost=1.5
    )
    assert await database.images.renders(job.id) == ()
    images = await database.images.of_job(job.id)
    assert [(image.channel_id, image.message_id, image.attachment_id) for image in images] == [
        (CHANNEL + 1, MESSAGE, 50),
        (CHANNEL + 1, MESSAGE, 51),
    ]
    assert (await database.quotas.usage(job.account)).spent == 1.5


async def test_nothing_costs_more_than_was_reserved(database):
    job = await rendered(database, cost=2.0)
    assert await database.jobs.delivered(job.id, channel_id=CHANNEL, message_id=MESSAGE, attachments={}, cost=9.0)
    assert (await database.quotas.usage(job.account)).spent == 2.0


async def test_a_job_without_pictures_cannot_be_called_rendered(database):
    job = await running(database)
    with pytest.raises(ValueError, match="fail it instead"):
        await database.jobs.rendered(job.id, [])


async def test_pictures_that_come_too_late_are_not_kept(database):
    job = await running(database)
    await database.jobs.cancel(job.id, by=ALICE)
    assert await database.jobs.rendered(job.id, [an_image()]) is None
    assert await database.images.of_job(job.id) == ()


async def test_a_restart_puts_running_jobs_back_and_finds_what_is_left_to_say(url, clock):
    before = await Database.open(url, clock)
    waiting = await accepted(before)
    drawing = await running(before)
    finished = await rendered(before)
    await delivered(before)
    failed = await running(before)
    await before.jobs.fail(failed.id, "no memory")
    cancelled = await accepted(before)
    await before.jobs.cancel(cancelled.id, by=BOB)
    await before.jobs.mark_notified(cancelled.id)
    await before.close()

    after = await Database.open(url, clock)
    found = await after.jobs.requeue_interrupted()
    assert [job.id for job in found.waiting] == [waiting.id, drawing.id]
    assert [job.attempts for job in found.waiting] == [0, 1]
    assert [job.id for job in found.undelivered] == [finished.id]
    assert [(job.id, job.reason) for job in found.unnotified] == [(failed.id, "no memory")]
    assert (await after.jobs.get(cancelled.id)).ended_by == BOB
    await after.close()


async def test_after_a_week_no_attempt_is_made_to_notify_a_user(database, clock):
    failed = await running(database)
    await database.jobs.fail(failed.id, "no memory")
    clock.turn(timedelta(days=6))
    assert [job.id for job in (await database.jobs.requeue_interrupted()).unnotified] == [failed.id]
    clock.turn(timedelta(days=1))
    assert (await database.jobs.requeue_interrupted()).unnotified == ()
    assert not await database.jobs.mark_notified(failed.id)


async def test_a_user_is_notified_of_an_end_once(database):
    job = await accepted(database)
    assert not await database.jobs.mark_notified(job.id)
    await database.jobs.fail(job.id, "no memory")
    assert await database.jobs.mark_notified(job.id)
    assert not await database.jobs.mark_notified(job.id)


async def test_waiting_jobs_keep_their_places(database):
    first, second, third = [await accepted(database, user_id=user) for user in (ALICE, BOB, ALICE)]
    await database.jobs.start([first.id, third.id])
    assert await database.jobs.put_back([third.id, first.id, second.id]) == (first.id, third.id)
    assert [job.id for job in (await database.jobs.requeue_interrupted()).waiting] == [first.id, second.id, third.id]
    assert [job.id for job in await database.jobs.live_of(ALICE)] == [first.id, third.id]


async def test_a_parent_that_is_gone_does_not_keep_a_job_from_being_accepted(database):
    assert (await accepted(database, parent_picture_id=12345)).parent_picture_id is None


async def test_statistics_count_one_server_or_all(database, clock):
    start = clock.now
    job = await accepted(database, cost=2.0)
    clock.turn(timedelta(seconds=4))
    await database.jobs.start([job.id])
    clock.turn(timedelta(seconds=6))
    await database.jobs.rendered(job.id, [an_image(0), an_image(1)])
    await database.jobs.delivered(job.id, channel_id=CHANNEL, message_id=MESSAGE, attachments={})
    await accepted(database, user_id=BOB, guild_id=GUILD + 1, kind="upscale")

    here = await database.jobs.statistics(start, GUILD)
    assert (here.jobs, here.kinds) == ({JobState.DELIVERED: 1}, {"imagine": 1})
    assert (here.people, here.images, here.credits) == (1, 2, 2.0)
    assert (here.median_wait, here.median_drawing) == (timedelta(seconds=4), timedelta(seconds=6))
    everywhere = await database.jobs.statistics(start)
    assert everywhere.jobs == {JobState.DELIVERED: 1, JobState.QUEUED: 1}
    assert (everywhere.people, everywhere.credits) == (2, 3.0)
    assert (await database.jobs.statistics(clock.now + timedelta(days=1))).median_wait is None


async def test_secrets_and_words_do_not_show_when_a_job_is_printed():
    shown = repr(an_imagine(prompt="my dear one", negative_prompt="ugly one", interaction_token="secret"))
    assert not any(word in shown for word in ("dear", "ugly", "secret"))


async def test_the_line_says_what_has_not_ended_and_since_when_the_oldest_waits(database, clock):
    live = {JobState.QUEUED: 0, JobState.RUNNING: 0, JobState.RENDERED: 0}
    assert await database.jobs.summary() == QueueSummary(live, None)
    await delivered(database)
    await running(database)
    await rendered(database)
    first = await accepted(database)
    clock.now += timedelta(minutes=5)
    await accepted(database)
    live = {JobState.QUEUED: 2, JobState.RUNNING: 1, JobState.RENDERED: 1}
    assert await database.jobs.summary() == QueueSummary(live, first.queued_at)


async def test_a_watcher_is_notified_once_of_every_job_that_ends_and_as_it_is_then(database):
    ended = []
    database.jobs.watch(ended.append)
    jobs = [await delivered(database), await running(database), await running(database), await running(database)]
    cancelled, failed, refused = (job.id for job in jobs[1:])
    for _ in range(2):  # the second time nothing changes
        await database.jobs.cancel(cancelled, by=ALICE)
        await database.jobs.fail(failed, "It broke.")
        await database.jobs.refuse(refused, "Not here.")
    assert ended == [await database.jobs.get(job.id) for job in jobs]
    assert [job.state for job in ended] == ["delivered", "cancelled", "failed", "refused"]
    assert all(job.finished_at is not None for job in ended)


async def test_a_persons_unfinished_jobs_in_one_server_are_cancelled_with_refunds(database):
    queued, drawn = await accepted(database, cost=2.0), await rendered(database, cost=3.0)
    done = await delivered(database, cost=1.0)
    elsewhere, others = await accepted(database, guild_id=GUILD + 1), await accepted(database, user_id=BOB)
    ended = await database.jobs.cancel_of_person(ALICE, GUILD, "blocked", by=ADMIN)
    assert [(job.id, job.state, job.ended_by, job.reason) for job in ended] == [
        (job.id, JobState.CANCELLED, ADMIN, "blocked") for job in (queued, drawn)
    ]
    assert (await database.quotas.usage(queued.account)).spent == 1.0
    states = [(await database.jobs.get(job.id)).state for job in (done, elsewhere, others)]
    assert states == [JobState.DELIVERED, JobState.QUEUED, JobState.QUEUED]
    assert await broken_rules(database) == []
    assert await database.jobs.cancel_of_person(ALICE, GUILD, "blocked", by=ADMIN) == ()
    assert [job.id for job in await database.jobs.cancel_of_person(ALICE, None, "blocked")] == [elsewhere.id]


async def test_a_servers_jobs_in_given_states_are_cancelled(database):
    queued, drawn = await accepted(database), await running(database)
    elsewhere, outside = await accepted(database, guild_id=GUILD + 1), await accepted(database, guild_id=None)
    seen = []
    database.jobs.watch(lambda job: seen.append(job.id))
    ended = await database.jobs.cancel_in_server(GUILD, "paused", states=[JobState.QUEUED])
    assert [job.id for job in ended] == seen == [queued.id]
    assert [job.id for job in await database.jobs.cancel_in_server(GUILD, "removed")] == [drawn.id]
    assert [job.id for job in await database.jobs.live()] == [elsewhere.id, outside.id]
    assert (await database.jobs.get(outside.id)).state is JobState.QUEUED
    assert await broken_rules(database) == []


@pytest.mark.parametrize("count", [3, 12])
async def test_many_jobs_end_by_as_few_statements_as_one(database, monkeypatch, count):
    """Else a pause of everything keeps all others from writing for as long as there are jobs."""
    monkeypatch.setattr(transactions, "VALUES_PER_STATEMENT", 6)
    spent = [await accepted(database, cost=2.0) for _ in range(count)] + [await rendered(database, cost=3.0)]
    with executed(database) as statements:
        ended = await database.jobs.cancel_everywhere("paused", by=ADMIN)
    assert [job.id for job in ended] == [job.id for job in spent]
    assert len([each for each in statements if each.startswith(("UPDATE charges", "DELETE"))]) == 2 * ceil(
        (count + 1) / 6
    )
    assert (await database.quotas.usage(spent[0].account)).spent == 0
    assert await database.images.of_job(spent[-1].id) == ()
    assert await broken_rules(database) == []


async def test_others_have_their_turn_while_many_ended_jobs_are_told_of(database):
    for _ in range(20):
        await accepted(database)
    turn_of: list[int] = []
    async with counted_turns() as turns:
        database.jobs.watch(lambda job: turn_of.append(turns()))
        await database.jobs.cancel_everywhere("paused")
    assert len(set(turn_of)) == 20


async def test_servers_with_unfinished_jobs_are_found_without_reading_the_jobs(database):
    for guild_id in (GUILD, GUILD, GUILD + 1):
        await running(database, guild_id=guild_id, parameters={"in_own_server": True})
    await accepted(database, guild_id=GUILD + 2, parameters={"in_own_server": False})
    await accepted(database, guild_id=GUILD + 3)
    await accepted(database, guild_id=None, parameters={"in_own_server": True})
    await delivered(database, guild_id=GUILD + 4, parameters={"in_own_server": True})
    assert await database.jobs.servers_of_live("in_own_server") == {GUILD, GUILD + 1}


@contextmanager
def executed(database: Database) -> Iterator[list[str]]:
    """The statements that the database runs meanwhile."""
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database._engine.sync_engine, "before_cursor_execute", note)
    yield statements
    event.remove(database._engine.sync_engine, "before_cursor_execute", note)


async def test_a_job_gives_way_to_another_only_if_that_is_accepted(database):
    old = await accepted(database, cost=3.0)
    limits = Allowance(credits=4.0, waiting=1)
    assert isinstance(await database.jobs.accept(an_imagine(cost=5.0), limits, replaces=old.id), OverQuota)
    assert (await database.jobs.get(old.id)).state is JobState.QUEUED
    assert (await database.quotas.usage(old.account)).spent == 3.0
    ended = []
    database.jobs.watch(lambda job: ended.append(job.id))
    new = await database.jobs.accept(an_imagine(cost=4.0), limits, replaces=old.id)
    assert isinstance(new, Accepted) and ended == [old.id]
    gone = await database.jobs.get(old.id)
    assert (gone.state, gone.ended_by) == (JobState.CANCELLED, ALICE)
    assert (await database.quotas.usage(old.account)).spent == 4.0
    assert await broken_rules(database) == []


async def test_only_a_queued_job_of_the_same_user_gives_way(database):
    drawn, others = await running(database), await accepted(database, user_id=BOB)
    for job in (drawn, others):
        assert isinstance(await database.jobs.accept(an_imagine(), UNLIMITED, replaces=job.id), Accepted)
    assert (await database.jobs.get(drawn.id)).state is JobState.RUNNING
    assert (await database.jobs.get(others.id)).state is JobState.QUEUED


async def test_the_time_of_the_last_drawn_job_is_known(database, clock):
    assert await database.jobs.last_drawn_at() is None
    early, late = await running(database), await running(database)
    for job in (late, early):  # the later one is drawn first
        await database.jobs.rendered(job.id, [an_image()])
        await database.jobs.delivered(job.id, channel_id=CHANNEL, message_id=MESSAGE, attachments={})
        clock.now += timedelta(hours=1)
    assert await database.jobs.last_drawn_at() == clock.now - timedelta(hours=1)
