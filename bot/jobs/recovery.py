"""Continues, after a start, the jobs that the previous run left unfinished."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from math import log

from bot.jobs.delivery.outbox import Outbox
from bot.jobs.delivery.progress import StatusMessages
from bot.jobs.queue import HALF_LIFE, FairQueue
from bot.jobs.queue_entry import queued_job
from bot.messages import job as messages
from bot.ops.logs import with_job_log_context
from storage.database import Database
from storage.jobs import Job

logger = logging.getLogger(__name__)

#: What a steady user draws in this time equals the recent use that a queue with HALF_LIFE would remember.
RECENT_USE = timedelta(seconds=HALF_LIFE / log(2))
#: How often a job is started, restarts included, before it is assumed to crash the bot.
MAX_STARTS = 5


class Recovery:
    def __init__(self, database: Database, queue: FairQueue, outbox: Outbox, status: StatusMessages) -> None:
        self._database = database
        self._queue = queue
        self._outbox = outbox
        self._status = status

    async def run(self, *, counting: bool = True) -> None:
        """Call once after each time the claim was taken, before anything is drawn.

        `counting`: whether the interruption counts as an attempt of the running jobs, because they may have caused it.
        """
        unfinished = await self._database.jobs.requeue_interrupted(counting=counting)
        self._queue.restore_usage(await self._recent_use(unfinished.waiting))
        for job in unfinished.undelivered:
            self._outbox.deliver_later(job, overdue=True)
        for job in unfinished.unnotified:
            self._outbox.report_failure_later(job, overdue=True)
        if unfinished.waiting:
            logger.info("%d jobs continue after a restart", len(unfinished.waiting))
            for job in unfinished.waiting:
                await self._requeue(job)

    async def _recent_use(self, waiting: Sequence[Job]) -> dict[int, float]:
        """Credits recently drawn by each user, so that a restart increases no share. Queued jobs do not count."""
        usage = dict(await self._database.quotas.spent_lately(RECENT_USE))
        for job in waiting:
            usage[job.user_id] = usage.get(job.user_id, 0.0) - job.cost
        return {user_id: credits for user_id, credits in usage.items() if credits > 0}

    @with_job_log_context
    async def _requeue(self, job: Job) -> None:
        """Continue a job, unless that is impossible."""
        if job.attempts >= MAX_STARTS:
            await self._outbox.fail(job, messages.ENGINE_LOST)
            return
        try:
            entry = queued_job(job)
        except ValueError as error:
            logger.error("it cannot be read: %s", error)
            await self._outbox.fail(job, messages.NOTHING_CAME)
            return
        if job.id not in self._queue:  # it is, if it was only just accepted
            self._queue.put(entry)
        self._status.note_queued(job, at_once=False)
