"""Jobs: what was requested, its current state, and how it ended.

    queued -> running -> rendered -> delivered
         \\________\\_________\\____-> cancelled, failed, refused

Every change of state is one UPDATE that names the states it may start from. If two writers try, one succeeds, and the
other's call returns False or None. The matching change of the charge is in the same transaction.

Only the bot that holds the claim accepts and draws jobs. All but cancellations compare the claim's epoch, and raise
ClaimLost in a bot that has lost it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from types import EllipsisType
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import quotas
from storage.backend.clock import Clock
from storage.backend.drawing_claim import DrawingClaim
from storage.backend.transactions import Transactions, all_uncancellable, in_groups
from storage.images import NewImage, add_images
from storage.quotas import Account, read_usage
from storage.records.jobs import (
    COMES_FROM,
    LIVE,
    MAX_NOTIFY_AGE,
    Accepted,
    Allowance,
    AlreadyAccepted,
    Job,
    NewJob,
    OverQuota,
    QueueSummary,
    TooManyWaiting,
    Unfinished,
)
from storage.records.statistics import Statistics, read_statistics
from storage.schema import JobState, charges, jobs, pictures, renders
from storage.source_images import add_mask, add_source_image
from storage.unanswered import forget_unanswered

#: How many delivered jobs are searched for the one drawn last: they are drawn nearly in order.
SCAN_LIMIT = 100

__all__ = [
    "LIVE",
    "Accepted",
    "Allowance",
    "AlreadyAccepted",
    "Job",
    "Jobs",
    "NewJob",
    "OverQuota",
    "QueueSummary",
    "Statistics",
    "TooManyWaiting",
    "Unfinished",
    "find_all",
]


@all_uncancellable
class Jobs:
    def __init__(self, transactions: Transactions, clock: Clock, claim: DrawingClaim) -> None:
        self._transactions = transactions
        self._clock = clock
        self._claim = claim
        self._watchers: list[Callable[[Job], None]] = []

    def watch(self, watcher: Callable[[Job], None]) -> None:
        """Call `watcher` with every job that this process ends, after it was committed."""
        self._watchers.append(watcher)

    async def accept(
        self,
        new: NewJob,
        allowance: Allowance,
        source: bytes | None = None,
        account: Account | None = None,
        replaces: int | None = None,
        mask: bytes | None = None,
    ) -> Accepted | AlreadyAccepted | TooManyWaiting | OverQuota:
        """Check the allowance, reserve the cost and insert the job as queued, in one transaction.

        The job replaces the unanswered request, so its row in `Unanswered` is deleted.
        `source`, `mask`: the files of its source image and of that image's mask, if it has them.
        `account`: who pays, if not the user in that server.
        `replaces`: the id of a job of the same user that is cancelled, with a refund, if it is still queued and the new
        one is accepted.
        """
        account = account or new.account
        replaced = None
        try:
            async with self._transactions.writing(alone_with=str(account)) as connection:
                await self._claim.check(connection)
                now = self._clock()
                known = await _find(connection, jobs.c.interaction_id == new.interaction_id)
                if known:
                    await forget_unanswered(connection, new.interaction_id)
                    return AlreadyAccepted(known)
                if replaces is not None:
                    replaced = await self._cancel_replaced(connection, replaces, new.user_id, now)
                await _check(connection, account, allowance, new.cost, now)
                job = await _write(connection, new, now)
                await quotas.reserve(connection, job.id, account, job.cost, now)
                if source is not None:
                    await add_source_image(connection, job.id, source)
                if mask is not None:
                    await add_mask(connection, job.id, mask)
                await forget_unanswered(connection, new.interaction_id)
        except _NotAccepted as error:  # the transaction was rolled back
            return error.answer
        self._notify_watchers(replaced)
        return Accepted(job)

    async def _cancel_replaced(
        self, connection: AsyncConnection, job_id: int, user_id: int, now: datetime
    ) -> Job | None:
        """Cancel a queued job of a user for another one. Returns it; None if it is not queued any more."""
        which = (jobs.c.id == job_id) & (jobs.c.user_id == user_id) & (jobs.c.state == JobState.QUEUED)
        if not await self._change(connection, which, JobState.CANCELLED, finished_at=now, ended_by=user_id):
            return None
        await quotas.refund(connection, [job_id], now)
        return await _find(connection, jobs.c.id == job_id)

    async def last_drawn_at(self) -> datetime | None:
        """When one of the newest delivered jobs was drawn; None if there are none."""
        newest = select(jobs.c.rendered_at).where(jobs.c.state == JobState.DELIVERED)
        newest = newest.order_by(jobs.c.id.desc()).limit(SCAN_LIMIT)
        async with self._transactions.reading() as connection:
            return max(filter(None, await connection.scalars(newest)), default=None)

    async def newest_id(self) -> int:
        """The id of the newest job; 0 if there are none."""
        async with self._transactions.reading() as connection:
            return await connection.scalar(select(func.max(jobs.c.id))) or 0

    async def private_ids(self, *, after: int = 0, limit: int) -> tuple[int, ...]:
        """The ids of jobs whose images only their user sees: the first ones that are larger than `after`."""
        page = select(jobs.c.id).where(jobs.c.private, jobs.c.id > after).order_by(jobs.c.id).limit(limit)
        async with self._transactions.reading() as connection:
            return tuple(await connection.scalars(page))

    async def start(self, job_ids: Collection[int]) -> tuple[Job, ...]:
        """Queued to running, counting an attempt. Returns those that were still queued. An engine waits for it."""
        async with self._transactions.writing(alone_with="queue", urgent=True) as connection:
            started = await self._changed(
                connection,
                jobs.c.id.in_(job_ids),
                JobState.RUNNING,
                jobs.c,
                attempts=jobs.c.attempts + 1,
                started_at=self._clock(),
            )
            return tuple(map(_job, started))

    async def put_back(self, job_ids: Collection[int]) -> tuple[int, ...]:
        """Running to queued, at their old positions. Returns the ids of those that were still running."""
        async with self._transactions.writing(alone_with="queue") as connection:
            return await self._change(connection, jobs.c.id.in_(job_ids), JobState.QUEUED)

    async def requeue(self, job_ids: Collection[int]) -> tuple[int, ...]:
        """Like `put_back`, but the attempt does not count: the jobs did not cause the interruption."""
        async with self._transactions.writing(alone_with="queue") as connection:
            return await self._change(connection, jobs.c.id.in_(job_ids), JobState.QUEUED, attempts=jobs.c.attempts - 1)

    async def rendered(
        self, job_id: int, new_images: Sequence[NewImage], *, spoiler: bool = False
    ) -> tuple[int, ...] | None:
        """Running to rendered, with the files to deliver. Returns the images' ids in order, None if it was not running.

        `spoiler`: hide them behind a spoiler, even if the user did not ask for one. Raises ValueError without images.
        """
        if not new_images:
            raise ValueError(f"Job {job_id} has no image; fail it instead, so that its cost is refunded.")
        now = self._clock()
        async with self._transactions.writing() as connection:
            spoilered = {"spoiler": True} if spoiler else {}
            if not await self._change(connection, jobs.c.id == job_id, JobState.RENDERED, rendered_at=now, **spoilered):
                return None
            return await add_images(connection, job_id, new_images, now)

    async def delivered(
        self,
        job_id: int,
        *,
        channel_id: int,
        message_id: int,
        attachments: Mapping[int, int],
        guild_id: int | EllipsisType | None = ...,
        cost: float | None = None,
    ) -> bool:
        """Rendered to delivered: settle the charge and delete the files.

        `channel_id`, `message_id`, `guild_id`: where the images were posted; ... leaves the job's server.
        `attachments`: the attachment's id by image index.
        `cost`: the actual cost, if it is lower than the reserved one. False if the job was not rendered.
        """
        now = self._clock()
        server = {} if guild_id is ... else {"guild_id": guild_id}
        async with self._transactions.writing() as connection:
            if not await self._change(
                connection,
                jobs.c.id == job_id,
                JobState.DELIVERED,
                **server,
                channel_id=channel_id,
                message_id=message_id,
                told=True,
                finished_at=now,
            ):
                return False
            await quotas.settle(connection, job_id, now, cost)
            of_this_job = select(pictures.c.id).where(pictures.c.job_id == job_id)
            await connection.execute(delete(renders).where(renders.c.picture_id.in_(of_this_job)))
            for index, attachment_id in attachments.items():
                await connection.execute(
                    update(pictures)
                    .where(pictures.c.job_id == job_id, pictures.c.index == index)
                    .values(attachment_id=attachment_id)
                )
            job = await _find(connection, jobs.c.id == job_id)
        self._notify_watchers(job)
        return True

    async def cancel(self, job_id: int, by: int | None, reason: str | None = None) -> bool:
        """Any live state to cancelled, with a refund. `by`: the id of the user who cancelled it, if that is known.

        `reason`: shown to the job's user, if somebody else cancelled it.
        """
        return await self._end(job_id, JobState.CANCELLED, ended_by=by, reason=reason)

    async def cancel_of_person(
        self, user_id: int, guild_id: int | None, reason: str, by: int | None = None
    ) -> tuple[Job, ...]:
        """The same for all live jobs of a user in a server, or everywhere if `guild_id` is None."""
        which = jobs.c.user_id == user_id
        if guild_id is not None:
            which &= jobs.c.guild_id == guild_id
        return await self._end_all(which, LIVE, reason, by)

    async def cancel_in_server(
        self, guild_id: int, reason: str, by: int | None = None, *, states: Collection[JobState] = LIVE
    ) -> tuple[Job, ...]:
        """The same for all jobs in a server that are in one of `states`."""
        return await self._end_all(jobs.c.guild_id == guild_id, states, reason, by)

    async def cancel_everywhere(
        self, reason: str, by: int | None = None, *, states: Collection[JobState] = LIVE
    ) -> tuple[Job, ...]:
        """The same for all jobs that are in one of `states`."""
        return await self._end_all(true(), states, reason, by)

    async def _end_all(
        self, which: ColumnElement[bool], states: Collection[JobState], reason: str, by: int | None
    ) -> tuple[Job, ...]:
        """Cancel live jobs, with refunds, in one transaction. Returns them as they were before."""
        now = self._clock()
        async with self._transactions.writing(alone_with="queue") as connection:
            changed = await connection.execute(
                update(jobs)
                .where(which, jobs.c.state.in_(LIVE.intersection(states)))
                .values(state=JobState.CANCELLED, finished_at=now, ended_by=by, reason=reason)
                .returning(*jobs.c)
            )
            ended = sorted((_job(row) for row in changed), key=lambda job: job.id)
            await _undo(connection, [job.id for job in ended], now)
        for job in ended:
            self._notify_watchers(job)
            await asyncio.sleep(0)  # there may be thousands, so let other tasks run in between
        return tuple(ended)

    async def fail(self, job_id: int, reason: str) -> bool:
        """Any live state to failed, with a refund."""
        return await self._end(job_id, JobState.FAILED, reason=reason)

    async def refuse(self, job_id: int, reason: str) -> bool:
        """Any live state to refused, with a refund: the request or its result is not allowed."""
        return await self._end(job_id, JobState.REFUSED, reason=reason)

    async def _end(self, job_id: int, state: JobState, **how: Any) -> bool:
        now = self._clock()
        async with self._transactions.writing() as connection:
            if not await self._change(connection, jobs.c.id == job_id, state, finished_at=now, **how):
                return False
            await _undo(connection, [job_id], now)
            job = await _find(connection, jobs.c.id == job_id)
        self._notify_watchers(job)
        return True

    async def _change(
        self, connection: AsyncConnection, which: ColumnElement[bool], to: JobState, **columns: Any
    ) -> tuple[int, ...]:
        """Returns the ids of the jobs that changed. Raises ClaimLost, as `_changed`."""
        return tuple(row.id for row in await self._changed(connection, which, to, [jobs.c.id], **columns))

    async def _changed(
        self,
        connection: AsyncConnection,
        which: ColumnElement[bool],
        to: JobState,
        returned: Iterable[Column[Any]],
        **columns: Any,
    ) -> Sequence[Row[Any]]:
        """Raises ClaimLost if another bot draws by now. Only a cancellation may come from any process."""
        which &= jobs.c.state.in_(COMES_FROM[to])
        if to is not JobState.CANCELLED:
            which &= self._claim.compared()
        changed = await connection.execute(update(jobs).where(which).values(state=to, **columns).returning(*returned))
        rows = sorted(changed, key=lambda row: row.id)
        if not rows and to is not JobState.CANCELLED:
            await self._claim.check(connection)
        return rows

    def _notify_watchers(self, ended: Job | None) -> None:
        if ended is not None:
            for watcher in self._watchers:
                watcher(ended)

    async def mark_reposted(self, job_id: int) -> None:
        """Record that the images are about to be posted in another message, for the search after a restart."""
        async with self._transactions.writing() as connection:
            await self._claim.check(connection)
            await connection.execute(update(jobs).where(jobs.c.id == job_id).values(reposted=True))

    async def mark_notified(self, job_id: int) -> bool:
        """Record that the user has seen that the job was cancelled, failed or refused. True the first time."""
        async with self._transactions.writing() as connection:
            marked = await connection.execute(
                update(jobs).where(jobs.c.id == job_id, _unnotified()).values(told=True).returning(jobs.c.id)
            )
            return marked.first() is not None

    async def requeue_interrupted(self, *, counting: bool = True) -> Unfinished:
        """Put running jobs back into the queue, and return all that is unfinished. Only after taking the claim.

        `counting`: whether the attempt counts, because the jobs may be what ended the bot.
        """
        uncounted = {} if counting else {"attempts": jobs.c.attempts - 1}
        async with self._transactions.writing(alone_with="queue") as connection:
            await self._claim.check(connection)
            await self._change(connection, jobs.c.state == JobState.RUNNING, JobState.QUEUED, **uncounted)
            outdated = _unnotified() & (jobs.c.finished_at <= self._clock() - MAX_NOTIFY_AGE)
            await connection.execute(update(jobs).where(outdated).values(told=True))
            return Unfinished(
                waiting=await find_all(connection, jobs.c.state == JobState.QUEUED),
                undelivered=await find_all(connection, jobs.c.state == JobState.RENDERED),
                unnotified=await find_all(connection, _unnotified()),
            )

    async def live(self) -> tuple[Job, ...]:
        """All unfinished jobs."""
        async with self._transactions.reading() as connection:
            return await find_all(connection, jobs.c.state.in_(LIVE))

    async def servers_of_live(self, said: str) -> frozenset[int]:
        """The servers with unfinished jobs in whose parameters `said` is true."""
        which = jobs.c.state.in_(LIVE) & jobs.c.guild_id.is_not(None) & jobs.c.parameters[said].as_boolean()
        async with self._transactions.reading() as connection:
            return frozenset(await connection.scalars(select(jobs.c.guild_id).where(which).distinct()))

    async def live_of(self, user_id: int) -> tuple[Job, ...]:
        async with self._transactions.reading() as connection:
            return await find_all(connection, (jobs.c.user_id == user_id) & jobs.c.state.in_(LIVE))

    async def get(self, job_id: int) -> Job | None:
        async with self._transactions.reading() as connection:
            return await _find(connection, jobs.c.id == job_id)

    async def by_interaction(self, interaction_id: int) -> Job | None:
        async with self._transactions.reading() as connection:
            return await _find(connection, jobs.c.interaction_id == interaction_id)

    async def newest_from(self, job_id: int, index: int, *, kind: str, user_id: int) -> Job | None:
        """The newest job of a kind that a user requested from one of a job's images, however it ended."""
        image = select(pictures.c.id).where(pictures.c.job_id == job_id, pictures.c.index == index).scalar_subquery()
        which = (jobs.c.parent_picture_id == image) & (jobs.c.kind == kind) & (jobs.c.user_id == user_id)
        async with self._transactions.reading() as connection:
            return await _find(connection, which)

    async def live_in_messages(self, message_ids: Collection[int]) -> tuple[Job, ...]:
        """The unfinished jobs of these messages."""
        async with self._transactions.reading() as connection:
            return await find_all(connection, jobs.c.message_id.in_(message_ids) & jobs.c.state.in_(LIVE))

    async def by_message(self, message_id: int) -> Job | None:
        """The newest job shown in a message."""
        async with self._transactions.reading() as connection:
            return await _find(connection, jobs.c.message_id == message_id)

    async def summary(self) -> QueueSummary:
        async with self._transactions.reading() as connection:
            live = await connection.execute(
                select(jobs.c.state, func.count(), func.min(jobs.c.queued_at))
                .where(jobs.c.state.in_(LIVE))
                .group_by(jobs.c.state)
            )
            found = {state: (count, oldest) for state, count, oldest in live}
            counts = {state: found.get(state, (0, None))[0] for state in sorted(LIVE)}
            return QueueSummary(counts, found.get(JobState.QUEUED, (0, None))[1])

    async def statistics(self, since: datetime, guild_id: int | None = None) -> Statistics:
        """Of one server, or of all if `guild_id` is None."""
        async with self._transactions.reading() as connection:
            return await read_statistics(connection, since, guild_id)


class _NotAccepted(Exception):
    def __init__(self, answer: TooManyWaiting | OverQuota) -> None:
        super().__init__()
        self.answer = answer


async def _check(
    connection: AsyncConnection, account: Account, allowance: Allowance, cost: float, now: datetime
) -> None:
    """Raises _NotAccepted."""
    if allowance.waiting is not None:
        waiting = await _count_waiting(connection, account)
        if waiting >= allowance.waiting:
            raise _NotAccepted(TooManyWaiting(waiting, allowance.waiting))
    if allowance.credits is not None:
        usage = await read_usage(connection, account, now)
        if not usage.has_room(cost, allowance.credits):
            raise _NotAccepted(OverQuota.of(usage, cost, allowance.credits))


async def _write(connection: AsyncConnection, new: NewJob, now: datetime) -> Job:
    values = {field.name: getattr(new, field.name) for field in fields(NewJob)}
    values["parent_picture_id"] = select(pictures.c.id).where(pictures.c.id == new.parent_picture_id).scalar_subquery()
    written = await connection.execute(
        insert(jobs).values(**values, state=JobState.QUEUED, attempts=0, told=False, queued_at=now).returning(*jobs.c)
    )
    return _job(written.one())


async def _undo(connection: AsyncConnection, job_ids: Sequence[int], now: datetime) -> None:
    """Refund jobs that end undelivered, and delete their images. Works in batches, not job by job."""
    for some in in_groups(job_ids):
        await quotas.refund(connection, some, now)
        await connection.execute(delete(pictures).where(pictures.c.job_id.in_(some)))


async def _find(connection: AsyncConnection, which: ColumnElement[bool]) -> Job | None:
    row = (await connection.execute(select(jobs).where(which).order_by(jobs.c.id.desc()).limit(1))).first()
    return _job(row) if row else None


async def find_all(connection: AsyncConnection, which: ColumnElement[bool], *, locked: bool = False) -> tuple[Job, ...]:
    """The jobs that meet a condition, in the order of their ids. `locked`: they stay so until the transaction ends."""
    found = select(jobs).where(which).order_by(jobs.c.id)
    rows = await connection.execute(found.with_for_update() if locked else found)
    return tuple(_job(row) for row in rows)


async def _count_waiting(connection: AsyncConnection, account: Account) -> int:
    with_charges = jobs.join(charges, charges.c.job_id == jobs.c.id)
    theirs = (jobs.c.user_id == account.user_id, charges.c.guild_id == account.guild_id)
    waiting = select(func.count()).select_from(with_charges).where(*theirs, jobs.c.state == JobState.QUEUED)
    return await connection.scalar(waiting) or 0


def _unnotified() -> ColumnElement[bool]:
    return ~jobs.c.told & jobs.c.finished_at.is_not(None)


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)
    return Job(notified=values.pop("told"), **values)
