"""Exports and erases what is stored about a user, and deletes old data."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, uncancellable
from storage.gallery.shares import add_messages_to_delete, forget_sharer
from storage.jobs import LIVE, Job, find_all
from storage.preferences import DRAFT_LIFETIME
from storage.quotas import WINDOW
from storage.schema import (
    ChargeState,
    JobState,
    audit,
    blocks,
    charges,
    drafts,
    jobs,
    pictures,
    preferences,
    presets,
    reports,
    shares,
    unanswered,
)
from storage.source_images import forget_source_images
from storage.unanswered import forget_unanswered_before

#: The columns by which a row belongs to a user.
ABOUT: Mapping[str, tuple[Column[Any], ...]] = {
    "jobs": (jobs.c.user_id,),
    "pictures": (pictures.c.user_id,),
    "charges": (charges.c.user_id,),
    "preferences": (preferences.c.user_id,),
    "presets": (presets.c.user_id,),
    "drafts": (drafts.c.user_id,),
    "blocks": (blocks.c.user_id,),
    "audit": (audit.c.actor_id, audit.c.subject_id),
    "reports": (reports.c.reporter_id,),
    "shares": (shares.c.user_id, shares.c.shared_by),
    "unanswered": (unanswered.c.user_id,),
}

#: Columns with ids of users; those of other users are not exported.
PEOPLE = frozenset({"user_id", "ended_by", "blocked_by", "actor_id", "subject_id", "reporter_id", "shared_by"})
#: Never exported: with the token, anybody could post as the bot.
SECRETS = frozenset({"interaction_token"})
#: Discord's payload of a request also names others; only what the user chose and typed is exported.
TYPED = "data"

#: How long a request that was never answered is kept.
UNANSWERED_LIFETIME = timedelta(days=1)

#: Jobs processed in one transaction.
BATCH = 500


@dataclass(frozen=True)
class Erased:
    """What was deleted.

    messages: (channel_id, message_id) of delivered images, or of all jobs if their messages are deleted too; they still
        exist in Discord. Those that no bot can delete are left out.
    unfinished: those of the jobs that were not finished, as they were before.
    """

    jobs: int
    images: int
    messages: tuple[tuple[int, int], ...]
    unfinished: tuple[Job, ...]


@dataclass(frozen=True)
class Forgotten:
    """How many jobs lost their prompts, and how many were deleted with their images."""

    prompts: int
    jobs: int


class Privacy:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock
        self._watchers: list[Callable[[int], None]] = []

    def watch_erasures(self, watcher: Callable[[int], None]) -> None:
        """Call `watcher` with the id of each user whose data was erased."""
        self._watchers.append(watcher)

    @uncancellable
    async def export(self, user_id: int) -> dict[str, list[dict[str, Any]]]:
        """All rows about a user by table, as plain JSON, without the ids of other users."""
        exported = {}
        async with self._transactions.reading() as connection:
            for name, about in ABOUT.items():
                query = select(about[0].table).where(or_(*(column == user_id for column in about)))
                parts = (await connection.stream(query)).partitions(100)  # lets other tasks run in between
                exported[name] = [_plain(row._asdict(), user_id) async for part in parts for row in part]
        return exported

    @uncancellable
    async def erase(self, user_id: int, *, messages_too: bool = False) -> Erased:
        """Delete what is stored about a user, in one transaction. Their unfinished jobs are deleted and refunded.

        messages_too: the messages of all their jobs are written down among the posts that are still to be deleted.
        Two things keep the user's id, because erasing must not be a way around them: blocks, until they are lifted,
        and charges (when, where, how much) of the last 24 hours. Older charges and the audit log stay without the id.
        """
        now = self._clock()
        theirs = jobs.c.user_id == user_id
        async with self._transactions.writing() as connection:
            drawn = await connection.scalar(select(func.count()).where(pictures.c.user_id == user_id))
            messages = await _messages_of(connection, user_id, of_all_jobs=messages_too)
            unfinished = await find_all(connection, theirs & jobs.c.state.in_(LIVE), locked=True)
            ids = [job.id for job in unfinished]
            await connection.execute(
                update(charges)
                .where(charges.c.job_id.in_(ids))
                .values(state=ChargeState.REFUNDED, spent=0, closed_at=now)
            )
            await forget_sharer(connection, user_id)
            if messages_too:
                await add_messages_to_delete(connection, messages, now)
            # A job accepted meanwhile is not among them; it counts as accepted after the erasure.
            erased = await connection.execute(
                delete(jobs).where(theirs, jobs.c.id.in_(ids) | jobs.c.state.not_in(LIVE))
            )
            await forget_source_images(connection)
            await _erase_beside_jobs(connection, user_id, now)
        for watcher in self._watchers:
            watcher(user_id)
        await self._transactions.empty_log()
        return Erased(erased.rowcount, drawn or 0, messages, unfinished)

    async def forget_older_than(
        self, *, prompts: timedelta | None = None, images: timedelta | None = None
    ) -> Forgotten:
        """Delete prompts and source images older than `prompts`, and finished jobs and images older than `images`.

        Jobs with an image in a gallery only lose their prompts and leave the history until the posts are removed, which
        takes knowing whose they are. None keeps them forever. Expired drafts, expired interaction tokens of finished
        jobs, and the users of expired charges, are always deleted.
        """
        await self._forget_expired()
        now = self._clock()
        has_expired = jobs.c.interaction_token.is_not(None) & (jobs.c.token_expires_at <= now)
        await self._clear(jobs, has_expired & jobs.c.state.not_in(LIVE), "interaction_token")
        names_user = charges.c.user_id.is_not(None) & (charges.c.reserved_at <= now - WINDOW)
        await self._clear(charges, names_user, "user_id", "interaction_id")
        forgotten = Forgotten(
            prompts=0 if prompts is None else await self._in_batches(self._forget_prompts, prompts),
            jobs=0 if images is None else await self._in_batches(self._forget_jobs, images),
        )
        await self._transactions.empty_log()
        return forgotten

    @uncancellable
    async def _forget_expired(self) -> None:
        now = self._clock()
        async with self._transactions.writing() as connection:
            await connection.execute(delete(drafts).where(drafts.c.saved_at <= now - DRAFT_LIFETIME))
            await forget_unanswered_before(connection, now - UNANSWERED_LIFETIME)

    async def _clear(self, table: Table, which: ColumnElement[bool], *columns: str) -> None:
        """Empty columns, after which `which` no longer holds, in small transactions: other writers do not wait long."""
        while await self._clear_some(table, which, columns) == BATCH:
            pass

    @uncancellable
    async def _clear_some(self, table: Table, which: ColumnElement[bool], columns: Collection[str]) -> int:
        """Process one batch; returns its number of rows."""
        some = select(table.c.id).where(which).limit(BATCH)
        async with self._transactions.writing() as connection:
            done = await connection.execute(
                update(table).where(table.c.id.in_(some)).values(dict.fromkeys(columns, None))
            )
            return done.rowcount

    async def _in_batches(self, forget: Callable[[list[int]], Awaitable[int]], age: timedelta) -> int:
        """In small transactions, so that other writers do not wait long."""
        until, last, count = self._clock() - age, 0, 0
        while batch := await self._finished_before(until, last):
            count += await forget(batch)
            last = batch[-1]
        return count

    @uncancellable
    async def _finished_before(self, until: datetime, last: int) -> list[int]:
        """The next batch of ids, in order, of finished jobs that were accepted before `until`."""
        newest = select(func.max(jobs.c.id)).where(jobs.c.queued_at < until).scalar_subquery()
        async with self._transactions.reading() as connection:
            found = await connection.scalars(
                select(jobs.c.id)
                .where(jobs.c.id > last, jobs.c.id <= newest, jobs.c.state.not_in(LIVE))
                .order_by(jobs.c.id)
                .limit(BATCH)
            )
            return list(found)

    @uncancellable
    async def _forget_prompts(self, job_ids: list[int]) -> int:
        async with self._transactions.writing() as connection:
            return await _forget_words(connection, job_ids)

    @uncancellable
    async def _forget_jobs(self, job_ids: list[int]) -> int:
        async with self._transactions.writing() as connection:
            shared = set(
                await connection.scalars(
                    select(pictures.c.job_id)
                    .join(shares, shares.c.picture_id == pictures.c.id)
                    .where(pictures.c.job_id.in_(job_ids))
                )
            )
            unshared = [job_id for job_id in job_ids if job_id not in shared]
            forgotten = (await connection.execute(delete(jobs).where(jobs.c.id.in_(unshared)))).rowcount
            if shared:
                await _forget_words(connection, shared)
                still_listed = pictures.c.job_id.in_(shared) & pictures.c.deleted_at.is_(None)
                await connection.execute(update(pictures).where(still_listed).values(deleted_at=self._clock()))
            await forget_source_images(connection)
            return forgotten


async def _messages_of(connection: AsyncConnection, user_id: int, *, of_all_jobs: bool) -> tuple[tuple[int, int], ...]:
    """The ids of channel and message of a user's jobs, which are delivered or all; of private ones the bot's own."""
    is_private_message = jobs.c.reposted & jobs.c.guild_id.is_(None)
    reached = jobs.c.message_id.is_not(None) & (jobs.c.private.is_(False) | is_private_message)
    if not of_all_jobs:
        reached &= jobs.c.state == JobState.DELIVERED
    posted = await connection.execute(
        select(jobs.c.channel_id, jobs.c.message_id).where(jobs.c.user_id == user_id, reached).distinct()
    )
    return tuple((channel_id, message_id) for channel_id, message_id in posted)


async def _erase_beside_jobs(connection: AsyncConnection, user_id: int, now: datetime) -> None:
    """Delete a user's rows in the other tables, and their id where a row has to stay."""
    await connection.execute(
        update(charges)
        .where(charges.c.user_id == user_id, charges.c.reserved_at <= now - WINDOW)
        .values(user_id=None, interaction_id=None)
    )
    await connection.execute(delete(preferences).where(preferences.c.user_id == user_id))
    await connection.execute(delete(presets).where(presets.c.user_id == user_id))
    await connection.execute(delete(drafts).where(drafts.c.user_id == user_id))
    await connection.execute(delete(reports).where(reports.c.reporter_id == user_id))
    await connection.execute(delete(unanswered).where(unanswered.c.user_id == user_id))
    for column in (jobs.c.ended_by, blocks.c.blocked_by, audit.c.actor_id, audit.c.subject_id):
        await connection.execute(update(column.table).where(column == user_id).values({column: None}))


async def _forget_words(connection: AsyncConnection, job_ids: Collection[int]) -> int:
    forgotten = await connection.scalars(
        update(jobs)
        .where(
            jobs.c.id.in_(job_ids),
            or_(jobs.c.prompt != "", jobs.c.negative_prompt != "", jobs.c.reason.is_not(None)),
        )
        .values(prompt="", negative_prompt="", parameters={}, reason=None)
        .returning(jobs.c.id)
    )
    without_prompt = list(forgotten)
    await connection.execute(
        update(pictures).where(pictures.c.job_id.in_(without_prompt)).values(prompt="", metadata="", notes="")
    )
    await forget_source_images(connection, without_prompt)
    return len(without_prompt)


def _plain(row: Mapping[str, Any], user_id: int) -> dict[str, Any]:
    return {
        name: None if name in PEOPLE and value != user_id else _plain_value(_own_part(name, value))
        for name, value in row.items()
        if name not in SECRETS
    }


def _own_part(name: str, value: Any) -> Any:
    if name != "payload":
        return value
    return {key: part for key, part in value.get(TYPED, {}).items() if key != "resolved"}


def _plain_value(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case _:
            return value
