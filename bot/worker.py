"""The one consumer: takes jobs from the queue, has the engine draw them, hands the pictures to delivery."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot import messages
from bot.delivery import Delivery, Undeliverable
from bot.jobs import Drawing, waiting
from bot.pace import Pace
from bot.queue import FairQueue, Waiting
from inference import Cancelled, EncodedPicture, NativeSettings, Progress
from inference.process import EngineDescription, EngineDied, EngineProcess
from storage.database import Database
from storage.jobs import Job
from storage.pictures import NewPicture
from storage.schema import JobState

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 2
SHOWN_EVERY = 3.0
"""Seconds between two edits of one message."""

Watcher = Callable[[Job, Progress], None]


class Worker:
    def __init__(self, engine: EngineProcess, queue: FairQueue, database: Database, delivery: Delivery) -> None:
        self._engine = engine
        self._queue = queue
        self._database = database
        self._delivery = delivery
        self._description: asyncio.Future[EngineDescription] = asyncio.get_running_loop().create_future()
        self._deliveries: dict[int, asyncio.Task[None]] = {}
        self._pace = Pace()
        self._batch = _NOTHING
        self._cancelled: set[int] = set()
        self._watchers: list[Watcher] = []
        self._progress_shown = _ProgressShown(delivery)

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` told, in the event loop, of every step of every job."""
        self._watchers.append(watcher)

    async def native_settings(self) -> NativeSettings:
        """The loaded model's own sizes and settings; waits while it is loading."""
        return (await asyncio.shield(self._description)).native

    async def run(self) -> None:
        """Draw until cancelled. Raises EngineFailed where the engine cannot be loaded at all."""
        await self._start_engine()
        while True:
            batch = await self._queue.take()
            self._batch = _Batch(frozenset(taken.job_id for taken in batch), sum(taken.cost for taken in batch))
            try:
                await self._draw(batch)
            finally:
                self._batch = _NOTHING
                self._cancelled.clear()

    async def cancel(self, job_id: int) -> None:
        """Drop a job that the database has cancelled, wherever it is. Once this returns, nothing more is posted of it.

        What is being drawn stops within a step, unless other jobs of its batch are still wanted.
        """
        self._queue.remove(job_id)
        if job_id in self._batch.job_ids:
            self._cancelled.add(job_id)
            await self._progress_shown.end(job_id)
        if (delivery := self._deliveries.get(job_id)) is not None:
            await asyncio.gather(delivery, return_exceptions=True)

    def seconds_until_drawn(self, job: Job) -> float | None:
        """About how long a live job still takes. None: nothing was drawn yet to judge by, or nobody waits for it."""
        left = self._batch.seconds_left(self._pace, time.perf_counter())
        if job.id in self._batch.job_ids:
            return left
        place = self._queue.place(job.id)
        wait = self._pace.estimate(place.credits_ahead + job.cost) if place is not None else None
        return None if left is None or wait is None else left + wait

    async def close(self) -> None:
        await asyncio.gather(*self._deliveries.values(), return_exceptions=True)
        await asyncio.to_thread(self._engine.stop)

    def deliver_later(self, job: Job) -> None:
        """Deliver while the next batch is being drawn."""
        task = asyncio.create_task(self._deliver(job), name=f"deliver-{job.id}")
        self._deliveries[job.id] = task
        task.add_done_callback(lambda _: self._deliveries.pop(job.id, None))

    async def _start_engine(self) -> None:
        started = time.monotonic()
        description = await asyncio.to_thread(self._engine.start)
        logger.info("loaded %s in %.1f s", description.name, time.monotonic() - started)
        if not self._description.done():
            self._description.set_result(description)

    async def _draw(self, batch: Sequence[Waiting]) -> None:
        started = await self._database.jobs.start([taken.job_id for taken in batch])
        found = [await self._database.jobs.get(job_id) for job_id in started]
        jobs = [job for job in found if job is not None and job.state is JobState.RUNNING]
        if not jobs:
            return
        drawings = [Drawing.of(job) for job in jobs]
        requests = [request for drawing in drawings for request in drawing.requests()]
        reporter = _Reporter(jobs, drawings, (self._progress_shown.show, *self._watchers))
        wanted = frozenset(job.id for job in jobs)
        self._batch = replace(self._batch, started=time.perf_counter())
        try:
            pictures = await asyncio.to_thread(
                self._engine.generate, requests, reporter.from_thread, lambda: wanted <= self._cancelled
            )
        except Cancelled:
            return
        except EngineDied as error:
            logger.error("%s", error)
            await self._start_engine()
            await self._try_again(jobs)
            return
        except Exception as error:
            for job in jobs:
                await self._fail(job, str(error))
            return
        finally:
            await self._progress_shown.stop()
        self._pace.learn(sum(job.cost for job in jobs), time.perf_counter() - self._batch.started)
        for job, drawing in zip(jobs, drawings, strict=True):
            own, pictures = pictures[: len(drawing.seeds)], pictures[len(drawing.seeds) :]
            kept = await self._database.jobs.rendered(job.id, _new_pictures(job, drawing, own))
            if kept is not None and job.id not in self._cancelled:
                self.deliver_later(job)

    async def _try_again(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.attempts >= MOST_ATTEMPTS:
                await self._fail(job, messages.ENGINE_LOST)
            elif await self._database.jobs.put_back([job.id]):
                self._queue.put_back(waiting(job))

    async def _fail(self, job: Job, reason: str) -> None:
        if await self._database.jobs.fail(job.id, reason):
            try:
                await self._delivery.apologise(job, reason)
            except Undeliverable as error:
                logger.warning("job %d: %s", job.id, error)

    async def _deliver(self, job: Job) -> None:
        try:
            await self._delivery.deliver(job)
        except Undeliverable as error:
            logger.warning("job %d: %s", job.id, error)
            await self._database.jobs.fail(job.id, str(error))
        except Exception:
            logger.exception("job %d: delivery went wrong", job.id)


@dataclass(frozen=True)
class _Batch:
    """What the worker has in hand; `started` is when the engine began with it (`time.perf_counter`)."""

    job_ids: frozenset[int]
    credits: float
    started: float = math.inf

    def seconds_left(self, pace: Pace, now: float) -> float | None:
        if not self.job_ids:
            return 0.0
        whole = pace.estimate(self.credits)
        return None if whole is None else max(0.0, whole - max(0.0, now - self.started))


_NOTHING = _Batch(frozenset(), 0.0)


class _Reporter:
    """Takes the engine's progress out of its thread and hands it to the watchers of each job concerned."""

    def __init__(self, jobs: Sequence[Job], drawings: Sequence[Drawing], watchers: Sequence[Watcher]) -> None:
        self._loop = asyncio.get_running_loop()
        self._watchers = watchers
        self._job_of_picture = [job for job, drawing in zip(jobs, drawings, strict=True) for _ in drawing.seeds]

    def from_thread(self, progress: Progress) -> None:
        self._loop.call_soon_threadsafe(self._tell, progress)

    def _tell(self, progress: Progress) -> None:
        concerned = {
            self._job_of_picture[position].id: self._job_of_picture[position] for position in progress.pictures
        }
        for job in concerned.values():
            for watcher in self._watchers:
                watcher(job, progress)


class _ProgressShown:
    """Edits the messages of the jobs that are being drawn, each at most every few seconds."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._next: dict[int, float] = {}
        self._edits: dict[int, asyncio.Task[None]] = {}

    def show(self, job: Job, progress: Progress) -> None:
        now = time.monotonic()
        edit = self._edits.get(job.id)
        if now < self._next.get(job.id, now) or (edit is not None and not edit.done()):
            return
        self._next[job.id] = now + SHOWN_EVERY
        view = messages.drawing(job, progress.step, progress.steps)
        self._edits[job.id] = asyncio.create_task(self._delivery.show(job, view))

    async def end(self, job_id: int) -> None:
        """Show no more of a job; wait for the edit that is under way."""
        self._next[job_id] = math.inf
        if (edit := self._edits.get(job_id)) is not None:
            await asyncio.gather(edit, return_exceptions=True)

    async def stop(self) -> None:
        """Wait for the edits that are under way: none may arrive after the picture."""
        edits, self._edits = self._edits, {}
        self._next.clear()
        await asyncio.gather(*edits.values(), return_exceptions=True)


def _new_pictures(job: Job, drawing: Drawing, pictures: Sequence[EncodedPicture]) -> list[NewPicture]:
    return [
        NewPicture(
            index=index,
            prompt=drawing.prompt,
            seed=picture.seed,
            width=picture.width,
            height=picture.height,
            file_name=messages.file_name(job.id, index),
            content=picture.png,
        )
        for index, picture in enumerate(pictures)
    ]
