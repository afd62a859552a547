"""Taking a job back, in whatever state it is before its images are posted."""

from __future__ import annotations

from bot.jobs.delivery.delivery import Delivery
from bot.jobs.worker import Worker
from bot.messages import job as messages
from bot.ops.logs import about_its_job
from bot.text.languages import speaking
from storage.jobs import Job, Jobs


class Cancellation:
    def __init__(self, jobs: Jobs, worker: Worker, delivery: Delivery) -> None:
        self._jobs = jobs
        self._worker = worker
        self._delivery = delivery

    @about_its_job
    async def cancel(self, job: Job, by: int) -> bool:
        """Cancel a job at any time before it is delivered, with a refund. False: it had ended already.

        by: the id of the user who cancels it.
        """
        by_moderator = by != job.user_id
        reason = messages.CANCELLED_BY_MODERATOR if by_moderator else None
        if not await self._jobs.cancel(job.id, by, reason):
            return False
        await self.withdraw(job, by_moderator=by_moderator)
        await self._jobs.mark_notified(job.id)
        return True

    @about_its_job
    async def withdraw(self, job: Job, *, by_moderator: bool = False) -> None:
        """Stop the work on a job that has ended in the database, and say in its message that nothing will come."""
        await self._worker.cancel(job.id)
        with speaking(messages.message_locale(job)):
            view = messages.cancelled(job, by_moderator=by_moderator)
        await self._delivery.show(job, view)
