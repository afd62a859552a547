"""Jobs: what was requested, its current state, and how it ended.

    queued -> running -> rendered -> delivered
         \\________\\_________\\____-> cancelled, failed, refused

Every change of state is one UPDATE that names the states it may start from. If two writers try, one succeeds, and the
other's call returns False or None. The matching change of the charge is in the same transaction.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import quotas
from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.images import NewImage, add_images
from storage.quotas import Account, Usage, read_usage
from storage.schema import JobState, charges, jobs, pictures, renders
from storage.source_images import add_source_image
from storage.unanswered import forget_unanswered

LIVE = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.RENDERED})

COMES_FROM: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING}),
    JobState.RUNNING: frozenset({JobState.QUEUED}),
    JobState.RENDERED: frozenset({JobState.RUNNING}),
    JobState.DELIVERED: frozenset({JobState.RENDERED}),
    JobState.CANCELLED: LIVE,
    JobState.FAILED: LIVE,
    JobState.REFUSED: LIVE,
}


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to be accepted. `guild_id` is None outside of servers; `parameters` is JSON that only the bot reads."""

    interaction_id: int
    user_id: int
    channel_id: int
    kind: str
    cost: float
    prompt: str = field(repr=False)
    negative_prompt: str = field(default="", repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    guild_id: int | None = None
    message_id: int | None = None
    parent_picture_id: int | None = None
    interaction_token: str | None = field(default=None, repr=False)
    token_expires_at: datetime | None = None
    private: bool = False
    spoiler: bool = False
    locale: str = "en-US"

    @property
    def account(self) -> Account:
        return Account(self.user_id, self.guild_id)


@dataclass(frozen=True, kw_only=True)
class Job(NewJob):
    """`attempts` counts starts. `notified`: whether the user has seen how it ended.

    `reposted`: its images were, or may have been, posted in another message than its own.
    """

    id: int
    state: JobState
    attempts: int
    reason: str | None = field(repr=False)
    ended_by: int | None
    notified: bool
    queued_at: datetime
    started_at: datetime | None
    rendered_at: datetime | None
    finished_at: datetime | None
    reposted: bool = False


@dataclass(frozen=True)
class Allowance:
    """The limits of an account: credits in 24 hours, and queued jobs at a time. None: no limit."""

    credits: float | None = None
    waiting: int | None = None


@dataclass(frozen=True)
class Accepted:
    job: Job


@dataclass(frozen=True)
class AlreadyAccepted:
    """This interaction already has a job; nothing was written or charged."""

    job: Job


@dataclass(frozen=True)
class TooManyWaiting:
    waiting: int
    limit: int


@dataclass(frozen=True)
class OverQuota:
    """`room_at`: when the quota has room for the job. None: never."""

    spent: float
    cost: float
    limit: float
    room_at: datetime | None


@dataclass(frozen=True)
class Unfinished:
    """What a restart has to continue: jobs to draw, in order; jobs to deliver; ended jobs to notify of."""

    waiting: tuple[Job, ...]
    undelivered: tuple[Job, ...]
    unnotified: tuple[Job, ...]


@dataclass(frozen=True)
class QueueSummary:
    """The number of unfinished jobs in each state, and when the oldest queued one was accepted."""

    live: Mapping[JobState, int]
    oldest_queued_at: datetime | None


@dataclass(frozen=True)
class Statistics:
    """Of one server or all of them, since some time. The medians are of the latest deliveries; None without any."""

    jobs: Mapping[JobState, int]
    kinds: Mapping[str, int]
    people: int
    images: int
    credits: float
    median_wait: timedelta | None
    median_drawing: timedelta | None


@all_uncancellable
class Jobs:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock
        self._watchers: list[Callable[[Job], None]] = []

    def watch(self, watcher: Callable[[Job], None]) -> None:
        """Call `watcher` with every job that this process ends, after it was committed."""
        self._watchers.append(watcher)

    async def accept(
        self, new: NewJob, allowance: Allowance, source: bytes | None = None, account: Account | None = None
    ) -> Accepted | AlreadyAccepted | TooManyWaiting | OverQuota:
        """Check the allowance, reserve the cost and insert the job as queued, in one transaction.

        The job replaces the unanswered request, so its row in `Unanswered` is deleted.
        `source`: the file of its source image, if it has one. `account`: who pays, if not the user in that server.
        """
        account = account or new.account
        async with self._transactions.writing(alone_with=str(account)) as connection:
            now = self._clock()
            known = await _find(connection, jobs.c.interaction_id == new.interaction_id)
            if known:
                await forget_unanswered(connection, new.interaction_id)
                return AlreadyAccepted(known)
            if allowance.waiting is not None:
                waiting = await _count_waiting(connection, account)
                if waiting >= allowance.waiting:
                    return TooManyWaiting(waiting, allowance.waiting)
            if allowance.credits is not None:
                usage = await read_usage(connection, account, now)
                if not usage.has_room(new.cost, allowance.credits):
                    return _over_quota(usage, new.cost, allowance.credits)
            job = await _write(connection, new, now)
            await quotas.reserve(connection, job.id, account, job.cost, now)
            if source is not None:
                await add_source_image(connection, job.id, source)
            await forget_unanswered(connection, new.interaction_id)
            return Accepted(job)

    async def private_ids(self) -> tuple[int, ...]:
        """The ids of all jobs whose images only their user sees."""
        async with self._transactions.reading() as connection:
            return tuple(await connection.scalars(select(jobs.c.id).where(jobs.c.private)))

    async def start(self, job_ids: Collection[int]) -> tuple[int, ...]:
        """Queued to running, counting an attempt. Returns the ids of those that were still queued."""
        async with self._transactions.writing(alone_with="queue") as connection:
            return await _change(
                connection,
                jobs.c.id.in_(job_ids),
                JobState.RUNNING,
                attempts=jobs.c.attempts + 1,
                started_at=self._clock(),
            )

    async def put_back(self, job_ids: Collection[int]) -> tuple[int, ...]:
        """Running to queued, at their old positions. Returns the ids of those that were still running."""
        async with self._transactions.writing(alone_with="queue") as connection:
            return await _change(connection, jobs.c.id.in_(job_ids), JobState.QUEUED)

    async def requeue(self, job_ids: Collection[int]) -> tuple[int, ...]:
        """Like `put_back`, but the attempt does not count: the jobs did not cause the interruption."""
        async with self._transactions.writing(alone_with="queue") as connection:
            return await _change(connection, jobs.c.id.in_(job_ids), JobState.QUEUED, attempts=jobs.c.attempts - 1)

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
            if not await _change(connection, jobs.c.id == job_id, JobState.RENDERED, rendered_at=now, **spoilered):
                return None
            return await add_images(connection, job_id, new_images, now)

    async def delivered(
        self,
        job_id: int,
        *,
        channel_id: int,
        message_id: int,
        attachments: Mapping[int, int],
        cost: float | None = None,
    ) -> bool:
        """Rendered to delivered: settle the charge and delete the files.

        `channel_id`, `message_id`: where the images were posted. `attachments`: the attachment's id by image index.
        `cost`: the actual cost, if it is lower than the reserved one. False if the job was not rendered.
        """
        now = self._clock()
        async with self._transactions.writing() as connection:
            if not await _change(
                connection,
                jobs.c.id == job_id,
                JobState.DELIVERED,
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
            for job in ended:
                await quotas.refund(connection, job.id, now)
                await connection.execute(delete(pictures).where(pictures.c.job_id == job.id))
        for job in ended:
            self._notify_watchers(job)
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
            if not await _change(connection, jobs.c.id == job_id, state, finished_at=now, **how):
                return False
            await quotas.refund(connection, job_id, now)
            await connection.execute(delete(pictures).where(pictures.c.job_id == job_id))
            job = await _find(connection, jobs.c.id == job_id)
        self._notify_watchers(job)
        return True

    def _notify_watchers(self, ended: Job | None) -> None:
        if ended is not None:
            for watcher in self._watchers:
                watcher(ended)

    async def mark_reposted(self, job_id: int) -> None:
        """Record that the images are about to be posted in another message, for the search after a restart."""
        async with self._transactions.writing() as connection:
            await connection.execute(update(jobs).where(jobs.c.id == job_id).values(reposted=True))

    async def mark_notified(self, job_id: int) -> bool:
        """The user has seen that the job was cancelled, failed or refused. True the first time."""
        async with self._transactions.writing() as connection:
            marked = await connection.execute(
                update(jobs).where(jobs.c.id == job_id, _unnotified()).values(told=True).returning(jobs.c.id)
            )
            return marked.first() is not None

    async def requeue_interrupted(self) -> Unfinished:
        """Put running jobs back into the queue, and return all that is unfinished. Only at the start of the bot."""
        async with self._transactions.writing(alone_with="queue") as connection:
            await _change(connection, jobs.c.state == JobState.RUNNING, JobState.QUEUED)
            return Unfinished(
                waiting=await _all(connection, jobs.c.state == JobState.QUEUED),
                undelivered=await _all(connection, jobs.c.state == JobState.RENDERED),
                unnotified=await _all(connection, _unnotified()),
            )

    async def live(self) -> tuple[Job, ...]:
        """All unfinished jobs."""
        async with self._transactions.reading() as connection:
            return await _all(connection, jobs.c.state.in_(LIVE))

    async def live_of(self, user_id: int) -> tuple[Job, ...]:
        async with self._transactions.reading() as connection:
            return await _all(connection, (jobs.c.user_id == user_id) & jobs.c.state.in_(LIVE))

    async def get(self, job_id: int) -> Job | None:
        async with self._transactions.reading() as connection:
            return await _find(connection, jobs.c.id == job_id)

    async def by_interaction(self, interaction_id: int) -> Job | None:
        async with self._transactions.reading() as connection:
            return await _find(connection, jobs.c.interaction_id == interaction_id)

    async def live_in_messages(self, message_ids: Collection[int]) -> tuple[Job, ...]:
        """The unfinished jobs of these messages."""
        async with self._transactions.reading() as connection:
            return await _all(connection, jobs.c.message_id.in_(message_ids) & jobs.c.state.in_(LIVE))

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
        here = jobs.c.queued_at >= since
        paid_here = charges.c.reserved_at >= since
        if guild_id is not None:
            here &= jobs.c.guild_id == guild_id
            paid_here &= charges.c.guild_id == guild_id
        async with self._transactions.reading() as connection:
            count_by_state = [func.count().filter(jobs.c.state == state) for state in JobState]
            counts = await connection.execute(select(jobs.c.kind, *count_by_state).where(here).group_by(jobs.c.kind))
            states, kinds = Counter[JobState](), Counter[str]()
            for kind, *by_state in counts:
                states.update(dict(zip(JobState, by_state, strict=True)))
                kinds[kind] = sum(by_state)
            people = await connection.scalar(select(func.count(jobs.c.user_id.distinct())).where(here))
            drawn = await connection.scalar(
                select(func.count()).select_from(jobs.join(pictures, pictures.c.job_id == jobs.c.id)).where(here)
            )
            spent = await connection.scalar(select(func.sum(charges.c.spent)).where(paid_here))
            times = await connection.execute(
                select(jobs.c.queued_at, jobs.c.started_at, jobs.c.rendered_at)
                .where(here, jobs.c.state == JobState.DELIVERED)
                .order_by(jobs.c.queued_at.desc())
                .limit(500)
            )
            latest = times.all()
            return Statistics(
                jobs=+states,
                kinds=kinds,
                people=people or 0,
                images=drawn or 0,
                credits=spent or 0.0,
                median_wait=_median([row.started_at - row.queued_at for row in latest]),
                median_drawing=_median([row.rendered_at - row.started_at for row in latest]),
            )


async def _change(
    connection: AsyncConnection, which: ColumnElement[bool], to: JobState, **columns: Any
) -> tuple[int, ...]:
    changed = await connection.execute(
        update(jobs).where(which, jobs.c.state.in_(COMES_FROM[to])).values(state=to, **columns).returning(jobs.c.id)
    )
    return tuple(sorted(changed.scalars()))


async def _write(connection: AsyncConnection, new: NewJob, now: datetime) -> Job:
    values = {field.name: getattr(new, field.name) for field in fields(NewJob)}
    values["parent_picture_id"] = select(pictures.c.id).where(pictures.c.id == new.parent_picture_id).scalar_subquery()
    written = await connection.execute(
        insert(jobs).values(**values, state=JobState.QUEUED, attempts=0, told=False, queued_at=now).returning(*jobs.c)
    )
    return _job(written.one())


async def _find(connection: AsyncConnection, which: ColumnElement[bool]) -> Job | None:
    row = (await connection.execute(select(jobs).where(which).order_by(jobs.c.id.desc()).limit(1))).first()
    return _job(row) if row else None


async def _all(connection: AsyncConnection, which: ColumnElement[bool]) -> tuple[Job, ...]:
    rows = await connection.execute(select(jobs).where(which).order_by(jobs.c.id))
    return tuple(_job(row) for row in rows)


async def _count_waiting(connection: AsyncConnection, account: Account) -> int:
    with_charges = jobs.join(charges, charges.c.job_id == jobs.c.id)
    theirs = (jobs.c.user_id == account.user_id, charges.c.guild_id == account.guild_id)
    waiting = select(func.count()).select_from(with_charges).where(*theirs, jobs.c.state == JobState.QUEUED)
    return await connection.scalar(waiting) or 0


def _unnotified() -> ColumnElement[bool]:
    return ~jobs.c.told & jobs.c.finished_at.is_not(None)


def _over_quota(usage: Usage, cost: float, limit: float) -> OverQuota:
    return OverQuota(usage.spent, cost, limit, usage.room_at(cost, limit))


def _median(periods: list[timedelta]) -> timedelta | None:
    return timedelta(seconds=median(period.total_seconds() for period in periods)) if periods else None


def _job(row: Row[Any]) -> Job:
    values = dict(row._mapping)
    return Job(notified=values.pop("told"), **values)
