"""Jobs that wait for a model that cannot be loaded: their messages say so, and after some hours they fail."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta

from bot.jobs.delivery.outbox import Outbox
from bot.jobs.queue import FairQueue
from bot.jobs.workers import Workers
from bot.messages import job as messages
from bot.messages.job import ModelState, QueueStatus
from storage.backend.clock import utc_now
from storage.backend.errors import StorageUnavailable
from storage.jobs import Job, Jobs
from storage.schema import JobState

logger = logging.getLogger(__name__)

#: Seconds between two checks for jobs that have waited too long.
CHECK_INTERVAL = 60.0


class ModelWait:
    def __init__(
        self,
        workers: Workers,
        jobs: Jobs,
        queue: FairQueue,
        outbox: Outbox,
        max_wait: timedelta,
    ) -> None:
        """`max_wait`: how long a job may wait for the model."""
        self._workers = workers
        self._jobs = jobs
        self._queue = queue
        self._outbox = outbox
        self._longest = max_wait

    async def run(self) -> None:
        """End jobs that have waited too long, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            try:
                await self.end_overdue(utc_now())
            except StorageUnavailable as error:
                logger.warning("jobs that waited too long could not be ended: %s", error)
            except Exception:
                logger.exception("jobs that waited too long could not be ended")

    async def end_overdue(self, now: datetime) -> None:
        """End the queued jobs that have waited too long for the model, with refunds.

        The wait is counted from when the job was accepted, or from when the model last drew something, also before a
        restart.
        """
        since = self._workers.unloaded_since
        if since is None or (not self._workers.failures and now - since < self._longest):
            return  # it is loaded, or perhaps still loading for the first time
        was_loaded = self._workers.loaded_description is not None
        last_there = max(filter(None, (since if was_loaded else None, await self._jobs.last_drawn_at())), default=None)
        for job in await self._jobs.live():
            waits_since = max(job.queued_at, last_there or job.queued_at)
            if job.state is JobState.QUEUED and now - waits_since >= self._longest:
                self._queue.remove(job.id)
                await self._outbox.fail(job, messages.WAITED_TOO_LONG)

    def queue_status(self, job: Job) -> QueueStatus | None:
        """A job's position in the queue, and whether the model is loaded; None if it is not queued."""
        status = self._workers.forecast.queue_status(job)
        if status is None or self._workers.loaded:
            return status
        return replace(status, model=ModelState.UNAVAILABLE if self._workers.failures else ModelState.LOADING)
