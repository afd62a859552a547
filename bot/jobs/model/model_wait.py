"""Jobs that wait for a model that cannot be loaded: their messages say so, and after some hours they fail."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta

from bot.jobs.delivery.outbox import Outbox
from bot.jobs.engines import SupervisedEngine
from bot.jobs.queue import FairQueue
from bot.jobs.throughput import Forecast
from bot.messages import job as messages
from bot.messages.job import ModelState, QueueStatus
from storage.backend.clock import utc_now
from storage.backend.transactions import StorageUnavailable
from storage.jobs import Job, Jobs
from storage.schema import JobState

logger = logging.getLogger(__name__)

#: Seconds between two looks for jobs that have waited too long.
EVERY = 60.0


class ModelWait:
    def __init__(
        self,
        engine: SupervisedEngine,
        jobs: Jobs,
        queue: FairQueue,
        forecast: Forecast,
        outbox: Outbox,
        longest: timedelta,
    ) -> None:
        """`longest`: how long a job may wait for the model."""
        self._engine = engine
        self._jobs = jobs
        self._queue = queue
        self._forecast = forecast
        self._outbox = outbox
        self._longest = longest

    async def run(self) -> None:
        """End jobs that have waited too long, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.end_overdue(utc_now())
            except StorageUnavailable as error:
                logger.warning("jobs that have waited too long could not be ended: %s", error)

    async def end_overdue(self, now: datetime) -> None:
        """End the queued jobs that have waited too long for the model, with refunds."""
        since = self._engine.unloaded_since
        if since is None or now - since < self._longest:
            return
        for job in await self._jobs.live():
            if job.state is JobState.QUEUED and now - max(job.queued_at, since) >= self._longest:
                self._queue.remove(job.id)
                await self._outbox.fail(job, messages.WAITED_TOO_LONG)

    def queue_status(self, job: Job) -> QueueStatus | None:
        """A job's position in the queue, and whether the model is loaded; None if it is not queued."""
        status = self._forecast.queue_status(job)
        if status is None or self._engine.loaded:
            return status
        return replace(status, model=ModelState.UNAVAILABLE if self._engine.failures else ModelState.LOADING)
