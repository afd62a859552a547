"""The one consumer: takes jobs from the queue, has the engine draw them, hands the pictures to delivery."""

from __future__ import annotations

import asyncio
import io
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar

import aiohttp
import discord
from PIL import Image

from bot.generation.grid import grid
from bot.generation.spec import JobSpec
from bot.jobs.delivery import Delivery, NoLongerAllowed, Undeliverable
from bot.jobs.progress import JobProgress, StatusMessages
from bot.jobs.queue import FairQueue, QueuedJob
from bot.jobs.queue_entry import queued_job
from bot.jobs.throughput import Pace
from bot.messages import job as messages
from bot.messages.job import QueueStatus
from bot.ops.logs import about, about_its_job
from bot.ops.shutdown import ShuttingDown
from bot.rules.image_policy import PicturePolicy, Verdict
from bot.text.languages import ENGLISH, speaking
from bot.text.translation import say
from inference import (
    Cancelled,
    CheckpointError,
    EncodedImage,
    EngineClient,
    EngineDescription,
    GenerationRequest,
    InvalidRequest,
    Progress,
)
from inference.process import EngineDied
from storage.backend.transactions import StorageUnavailable
from storage.database import Database
from storage.images import NewImage
from storage.jobs import Job
from storage.schema import JobState

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

TOO_MANY_REQUESTS = 429
MAX_ATTEMPTS = 2
"""Times that a job is drawn before it is given up."""
MAX_BEGINNINGS = 5
"""Times that a job is begun, restarts included, before it is taken for what ends the bot."""
MAX_SURPRISES = 5
"""Times that something nobody thought of may go wrong with a delivery before it is given up."""
MAX_STARTS = 3
"""Times that the engine's process may die while it loads the model, before the bot gives up."""
START_AGAIN_AFTER = 2.0
"""Seconds, and each time as many more."""
FIRST_RETRY, MAX_RETRY_DELAY = 2.0, 60.0
"""Seconds before what Discord or the database did not answer is tried again; each time twice as long."""

STOP_AGAIN_AFTER = 1.0
"""Seconds before an engine that does not end is stopped again."""
CLOSING_GRACE = 10.0
"""Seconds that deliveries have when the bot is told to end."""

Watcher = Callable[[Job, JobProgress], None]


class Worker:
    def __init__(
        self,
        engine: EngineClient,
        queue: FairQueue,
        database: Database,
        delivery: Delivery,
        *,
        picture_policy: PicturePolicy | None = None,
        previews: bool = True,
        drawn: Callable[[Sequence[EncodedImage]], None] = lambda pictures: None,
    ) -> None:
        """`drawn` is told of the pictures of every batch."""
        self._engine = engine
        self._queue = queue
        self._database = database
        self._delivery = delivery
        self._picture_policy = picture_policy or PicturePolicy()
        self._description: asyncio.Future[EngineDescription] = asyncio.get_running_loop().create_future()
        self._deliveries: dict[int, asyncio.Task[None]] = {}
        self._pace = Pace()
        self._drawn = drawn
        self.loaded = False
        """Whether the engine has its model; not while it is started again."""
        self._batch = _NOTHING
        self._cancelled: set[int] = set()
        self._closing = False
        self._engine_call: asyncio.Task[Any] | None = None
        self._watchers: list[Watcher] = []
        self.status = StatusMessages(delivery, self.queue_status, previews)

    def watch(self, watcher: Watcher) -> None:
        """Have `watcher` told, in the event loop, of every step of every job."""
        self._watchers.append(watcher)

    @property
    def engine_restarts(self) -> int:
        return max(0, self._engine.starts - 1)

    async def description(self) -> EngineDescription:
        """What the loaded model says of itself; waits while it is loading."""
        return await asyncio.shield(self._description)

    async def run(self) -> None:
        """Draw until the queue is closed. Raises EngineFailed where the engine cannot be loaded at all."""
        await self._start_engine()
        telling = asyncio.create_task(self.status.run(), name="status")
        try:
            while True:
                batch = await self._queue.take()
                if not batch:
                    return
                self._batch = _JobBatch(frozenset(taken.job_id for taken in batch), sum(taken.cost for taken in batch))
                try:
                    with about(*sorted(self._batch.job_ids)):
                        await self._draw(batch)
                except asyncio.CancelledError:
                    with suppress(StorageUnavailable):  # the next start puts them back as well
                        await self._database.jobs.requeue(self._batch.job_ids)
                    raise
                finally:
                    self._batch = _NOTHING
                    self._cancelled.clear()
        finally:
            telling.cancel()

    async def cancel(self, job_id: int) -> None:
        """Drop a job that the database has cancelled, wherever it is. Once this returns, nothing more is posted of it.

        What is being drawn stops within a step, unless other jobs of its batch are still wanted.
        """
        self._queue.remove(job_id)
        if job_id in self._batch.job_ids:
            self._cancelled.add(job_id)
        await self.status.end(job_id)
        if (delivery := self._deliveries.get(job_id)) is not None:
            await asyncio.gather(delivery, return_exceptions=True)

    def queue_status(self, job: Job) -> QueueStatus | None:
        """Where a job stands in line; None if it does not wait there."""
        place = self._queue.place(job.id)
        if place is None:
            return None
        seconds = self.seconds_until_drawn(job)
        ready_at = None if seconds is None else discord.utils.utcnow() + timedelta(seconds=seconds)
        return QueueStatus(place.jobs_ahead, ready_at)

    def seconds_until_drawn(self, job: Job) -> float | None:
        """About how long a live job still takes. None: nothing was drawn yet to judge by, or nobody waits for it."""
        left = self._batch.seconds_left(self._pace, time.perf_counter())
        if job.id in self._batch.job_ids:
            return left
        place = self._queue.place(job.id)
        wait = self._pace.estimate(place.credits_ahead + job.cost) if place is not None else None
        return None if left is None or wait is None else left + wait

    def fail_waiting_for_engine(self) -> None:
        """Those who wait for the engine to be loaded are not kept waiting by a bot that ends: Leaving is raised."""
        if not self._description.done():
            self._description.set_exception(ShuttingDown())
            self._description.exception()  # nobody may be waiting

    async def deliveries(self) -> None:
        """Wait for what is on its way to somebody."""
        while self._deliveries:
            await asyncio.wait(self._deliveries.values())

    async def close(self, grace: float | None = None) -> None:
        """Let deliveries that are under way arrive; those that wait for Discord are made after the next start.

        grace: seconds that the deliveries may take, and after them the engine's step; None is CLOSING_GRACE.
        """
        grace = CLOSING_GRACE if grace is None else grace
        if self._deliveries:
            _, late = await asyncio.wait(self._deliveries.values(), timeout=grace)
            for delivery in late:
                delivery.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._closing = True
        if self._engine_call is not None and self.loaded:  # loading cannot be hurried, drawing can
            await asyncio.wait([self._engine_call], timeout=grace)
        await asyncio.to_thread(self._engine.stop)
        while self._engine_call is not None and not self._engine_call.done():
            await asyncio.wait([self._engine_call], timeout=STOP_AGAIN_AFTER)
            await asyncio.to_thread(self._engine.stop)  # the call may have begun only now

    async def _call_engine(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the engine in a thread. Being cancelled does not end the call; `close` waits for it."""
        self._engine_call = task = asyncio.create_task(asyncio.to_thread(call, *args, **kwargs))
        # What nobody waits for any longer need not be said.
        task.add_done_callback(lambda task: None if task.cancelled() else task.exception())
        return await asyncio.shield(task)

    @about_its_job
    async def requeue(self, job: Job) -> None:
        """A job of before the start goes on, unless nothing can come of it."""
        if job.attempts >= MAX_BEGINNINGS:
            await self._fail(job, messages.ENGINE_LOST)
            return
        try:
            place = queued_job(job)
        except ValueError as error:
            logger.error("it cannot be read: %s", error)
            await self._fail(job, messages.NOTHING_CAME)
            return
        self._queue.put(place)
        self.status.waits(job)

    def deliver_later(self, job: Job) -> None:
        """Deliver while the next batch is being drawn."""
        self._enqueue(job, self._deliver(job))

    def report_error_later(self, job: Job, reason: str | None = None) -> None:
        """Tell somebody who has not heard yet that their job came to nothing."""
        self._enqueue(job, self._report_error(job, reason or job.reason or messages.NOTHING_CAME))

    def _enqueue(self, job: Job, news: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(news, name=f"deliver-{job.id}")
        self._deliveries[job.id] = task

        def arrived(task: asyncio.Task[None]) -> None:
            if self._deliveries.get(job.id) is task:  # else an apology has taken the delivery's place
                del self._deliveries[job.id]

        task.add_done_callback(arrived)

    async def _start_engine(self) -> None:
        """Load the engine, more than once if its process dies over it. Raises EngineFailed, EngineDied."""
        self.loaded = False
        started = time.monotonic()
        description = None
        for attempt in range(1, MAX_STARTS):
            try:
                description = await self._call_engine(self._engine.start)
                break
            except EngineDied as error:
                logger.error("%s Starting it again.", error)
                await asyncio.sleep(attempt * START_AGAIN_AFTER)
        if description is None:
            description = await self._call_engine(self._engine.start)
        logger.info("loaded %s in %.1f s", description.name, time.monotonic() - started)
        self.loaded = True
        if not self._description.done():
            self._description.set_result(description)

    async def _draw(self, batch: Sequence[QueuedJob]) -> None:
        jobs = await self._started(batch)
        if not jobs:
            return
        try:
            drawings = [JobSpec.of(job) for job in jobs]
            requests = [
                request
                for job, drawing in zip(jobs, drawings, strict=True)
                for request in await self._requests(job, drawing)
            ]
        except Exception as error:
            await self._recover(jobs, error)
            return
        reporter = _Reporter(jobs, drawings, self._tell)
        logger.info("drawing %d pictures", len(requests))
        wanted = frozenset(job.id for job in jobs)
        self._batch = replace(self._batch, started=time.perf_counter())
        try:
            pictures = await self._call_engine(
                self._engine.generate,
                requests,
                reporter.from_thread,
                lambda: self._closing or wanted <= self._cancelled,
            )
        except Cancelled:
            return
        except Exception as error:
            await self._recover(jobs, error)
            return
        self._drawn(pictures)
        self._pace.learn(sum(job.cost for job in jobs), time.perf_counter() - self._batch.started)
        for job, drawing in zip(jobs, drawings, strict=True):
            own, pictures = pictures[: len(drawing.recipes)], pictures[len(drawing.recipes) :]
            if job.id not in self._cancelled:
                try:
                    await self._keep(job, drawing, own)
                except Exception as error:
                    await self._recover([job], error)

    async def _started(self, batch: Sequence[QueuedJob]) -> list[Job]:
        """The jobs of a batch that are still wanted, now running."""
        job_ids = [taken.job_id for taken in batch]
        await self._retry_storage(lambda: self._database.jobs.start(job_ids))
        found = [await self._retry_storage(partial(self._database.jobs.get, job_id)) for job_id in job_ids]
        return [job for job in found if job is not None and job.state is JobState.RUNNING]

    async def _retry_storage(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the database until it answers: what is in hand is not lost because it is busy or its disk is full."""
        wait = FIRST_RETRY
        while True:
            try:
                return await ask()
            except StorageUnavailable as error:
                logger.warning("%s Trying again in %.0f s.", error, wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_DELAY)

    async def _requests(self, job: Job, drawing: JobSpec) -> list[GenerationRequest]:
        source = await self._retry_storage(lambda: self._database.source_images.of_job(job.id))
        return drawing.requests(None if source is None else Image.open(io.BytesIO(source)))

    def _tell(self, job: Job, progress: JobProgress) -> None:
        if job.id in self._cancelled:
            return
        for watcher in (self.status.draws, *self._watchers):
            watcher(job, progress)

    @about_its_job
    async def _keep(self, job: Job, drawing: JobSpec, pictures: Sequence[EncodedImage]) -> None:
        """Writes down the pictures of a job and has them delivered, if they may be shown."""
        verdict = Verdict.SHOWN
        if not drawing.age_restricted:
            verdict = self._picture_policy.verdict(picture.labels for picture in pictures)
        if verdict is not Verdict.SHOWN:
            logger.info("the classifier has it %s", verdict.name.lower())
        if verdict is Verdict.REFUSED:
            if await self._retry_storage(lambda: self._database.jobs.refuse(job.id, messages.JUDGED_UNFIT)):
                self.report_error_later(job, messages.JUDGED_UNFIT)
            return
        new = _new_pictures(job, drawing, pictures)
        if drawing.comparison is not None:
            with speaking(ENGLISH):  # the letters that the grid's font has
                file = await asyncio.to_thread(grid, drawing.comparison, [each.content for each in new], job.prompt)
            new = [replace(new[0], content=file.png, width=file.width, height=file.height)]
        hidden = verdict is Verdict.HIDDEN
        if await self._retry_storage(lambda: self._database.jobs.rendered(job.id, new, spoiler=hidden)) is not None:
            self.deliver_later(job)

    async def _recover(self, jobs: Sequence[Job], error: Exception) -> None:
        """After a batch that came to nothing: its jobs are drawn once more, each alone, or end in a sentence."""
        logger.error("nothing was drawn: %s", error)
        if isinstance(error, EngineDied):
            await self._start_engine()
        wrong_in_itself = len(jobs) == 1 and isinstance(error, InvalidRequest | CheckpointError)
        for job in jobs:
            if wrong_in_itself or job.attempts >= MAX_ATTEMPTS:
                await self._fail(job, messages.ENGINE_LOST if isinstance(error, EngineDied) else str(error))
            elif await self._retry_storage(partial(self._database.jobs.put_back, [job.id])):
                self._queue.put_back(queued_job(job))
                self.status.waits(job)

    @about_its_job
    async def _fail(self, job: Job, reason: str) -> None:
        if await self._retry_storage(lambda: self._database.jobs.fail(job.id, reason)):
            self.report_error_later(job, reason)

    @about_its_job
    async def _report_error(self, job: Job, reason: str) -> None:
        """Tell why a job came to nothing. Who cannot be reached now is told after the next start."""
        await self.status.end(job.id)
        with speaking(job.locale):
            said = messages.why(reason)
        try:
            await self._deliver_with_retry(job, lambda: self._delivery.report_error(job, said))
        except Exception as error:
            logger.warning("its asker could not be told why nothing came: %s", error)

    @about_its_job
    async def _deliver(self, job: Job) -> None:
        await self.status.end(job.id)
        try:
            await self._deliver_with_retry(job, lambda: self._delivery.deliver(job))
        except NoLongerAllowed as error:
            sentence = error.sentence
            if await self._retry_storage(lambda: self._database.jobs.refuse(job.id, sentence)):
                with speaking(job.locale):
                    self.report_error_later(job, say(messages.NOT_ALLOWED_ANY_MORE, reason=sentence))
        except Undeliverable as error:
            logger.warning("%s", error)
            await self._fail(job, str(error))
        except Exception:
            logger.exception("delivery went wrong")
            await self._fail(job, messages.DISCORD_REFUSED)

    async def _deliver_with_retry(self, job: Job, bring: Callable[[], Awaitable[None]]) -> None:
        """Bring somebody their news, however long Discord or the database does not answer.

        Raises Undeliverable, NotAllowedAnyMore, discord.HTTPException for what Discord refuses for good, and whatever
        else goes wrong again and again.
        """
        wait, surprises = FIRST_RETRY, 0
        while True:
            try:
                return await bring()
            except (Undeliverable, NoLongerAllowed):
                raise
            except (aiohttp.ClientError, OSError, StorageUnavailable) as error:
                reason: Exception = error
            except discord.HTTPException as error:
                if error.status != TOO_MANY_REQUESTS and error.status < 500:
                    raise
                reason = error
            except Exception as error:
                surprises += 1
                if surprises == MAX_SURPRISES:
                    raise
                reason = error
                logger.warning("something unexpected happened", exc_info=error)
            logger.warning("not delivered yet (%s); trying again in %.0f s", reason, wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_DELAY)


@dataclass(frozen=True)
class _JobBatch:
    """What the worker has in hand; `started` is when the engine began with it (`time.perf_counter`)."""

    job_ids: frozenset[int]
    credits: float
    started: float = math.inf

    def seconds_left(self, pace: Pace, now: float) -> float | None:
        if not self.job_ids:
            return 0.0
        whole = pace.estimate(self.credits)
        return None if whole is None else max(0.0, whole - max(0.0, now - self.started))


_NOTHING = _JobBatch(frozenset(), 0.0)


class _Reporter:
    """Takes the engine's progress out of its thread and tells it job by job, though jobs share batches."""

    def __init__(
        self, jobs: Sequence[Job], drawings: Sequence[JobSpec], tell: Callable[[Job, JobProgress], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tell_job = tell
        self._jobs = {job.id: job for job in jobs}
        self._job_of = [job.id for job, drawing in zip(jobs, drawings, strict=True) for _ in drawing.recipes]
        self._done = [0.0] * len(self._job_of)
        self._previews: dict[int, Image.Image] = {}

    def from_thread(self, progress: Progress) -> None:
        self._loop.call_soon_threadsafe(self._tell, progress)

    def _tell(self, progress: Progress) -> None:
        for position in progress.pictures:
            self._done[position] = progress.step / progress.steps
        self._previews.update(zip(progress.pictures, progress.previews(), strict=False))
        for job_id in dict.fromkeys(self._job_of[position] for position in progress.pictures):
            own = [position for position, owner in enumerate(self._job_of) if owner == job_id]
            previews = [self._previews[position] for position in own if position in self._previews]
            fraction = sum(self._done[position] for position in own) / len(own)
            self._tell_job(self._jobs[job_id], JobProgress(fraction, progress.step, progress.steps, previews))


def _new_pictures(job: Job, drawing: JobSpec, pictures: Sequence[EncodedImage]) -> list[NewImage]:
    return [
        NewImage(
            index=index,
            prompt=recipe.prompt,
            seed=picture.seed,
            width=picture.width,
            height=picture.height,
            file_name=messages.file_name(job.id, index),
            content=picture.png,
        )
        for index, (recipe, picture) in enumerate(zip(drawing.recipes, pictures, strict=True))
    ]
