"""Cancels a job, in any state before its images are posted."""

from __future__ import annotations

import logging
from collections.abc import Collection

from bot.jobs.delivery.delivery import Delivery
from bot.jobs.delivery.outbox import retry_storage
from bot.jobs.workers import Workers
from bot.messages import job as messages
from bot.ops.background import BackgroundTasks
from bot.ops.logs import with_job_log_context
from bot.text.languages import speaking
from storage.jobs import Job, Jobs
from storage.schema import JobState

logger = logging.getLogger(__name__)

#: Seconds that cancellations have when the bot stops.
CLOSE_TIMEOUT = 3.0


class Cancellation:
    def __init__(self, jobs: Jobs, workers: Workers, delivery: Delivery) -> None:
        self._jobs = jobs
        self._workers = workers
        self._delivery = delivery
        self._tasks = BackgroundTasks()

    @with_job_log_context
    async def cancel(self, job: Job, by: int) -> bool:
        """Cancel a job at any time before it is delivered, with a refund. Returns False if it had ended already.

        by: the id of the user who cancels it.
        """
        by_moderator = by != job.user_id
        reason = messages.CANCELLED_BY_MODERATOR if by_moderator else None
        if not await self._jobs.cancel(job.id, by, reason):
            return False
        await self.withdraw(job, by_moderator=by_moderator)
        await self._jobs.mark_notified(job.id)
        return True

    @with_job_log_context
    async def replaced(self, job: Job) -> None:
        """Show in a job's message that it is cancelled, if another job of its user has taken its place."""
        now = await self._jobs.get(job.id)
        if now is not None and now.state is JobState.CANCELLED:
            await self.withdraw(job)
            await self._jobs.mark_notified(job.id)

    @with_job_log_context
    async def withdraw(self, job: Job, *, by_moderator: bool = False) -> None:
        """Stop the work on a job that has ended in the database, and say so in its message."""
        await self._workers.cancel(job.id)
        with speaking(messages.message_locale(job)):
            view = messages.cancelled(job, by_moderator=by_moderator)
        await self._delivery.conclude(job, view)

    async def messages_deleted(self, message_ids: Collection[int]) -> None:
        """These messages were deleted: their jobs are cancelled, with refunds."""
        for job in await retry_storage(lambda: self._jobs.live_in_messages(message_ids)):
            self.message_deleted_later(job)

    @with_job_log_context
    async def message_deleted(self, job: Job) -> None:
        """Cancel a job whose message was deleted. Nothing more is posted for it, not even that it was cancelled."""
        if await retry_storage(lambda: self._jobs.cancel(job.id, by=None)):
            logger.info("its message was deleted, so it is cancelled")
            await self._workers.cancel(job.id)
            await retry_storage(lambda: self._jobs.mark_notified(job.id))

    async def close(self) -> None:
        """Wait CLOSE_TIMEOUT for the jobs of deleted messages to be cancelled; the rest are after the next start."""
        await self._tasks.finish(CLOSE_TIMEOUT)

    def message_deleted_later(self, job: Job) -> None:
        self._tasks.start(self.message_deleted(job), name=f"deleted-{job.id}")
