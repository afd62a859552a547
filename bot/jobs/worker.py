"""One engine's worker: takes jobs from the queue, runs the engine, passes the images to the outbox."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from PIL import Image

from bot.generation.grid import grid
from bot.generation.spec import JobSpec
from bot.jobs.delivery.outbox import Outbox, retry_storage
from bot.jobs.delivery.progress import JobProgress, StatusMessages
from bot.jobs.engines import SupervisedEngine
from bot.jobs.queue import Consumer, FairQueue, QueuedJob
from bot.jobs.queue_entry import queued_job
from bot.jobs.throughput import Throughput
from bot.messages import job as messages
from bot.messages.engine_notes import stored_note
from bot.ops.logs import job_log_context, with_job_log_context
from bot.rules.image_policy import ImagePolicy, Verdict
from bot.text.languages import ENGLISH, speaking
from inference import Cancelled, CheckpointError, EncodedImage, GenerationRequest, InvalidRequest, Progress
from storage.backend.errors import StorageUnavailable
from storage.database import Database
from storage.images import NewImage
from storage.jobs import Job
from storage.schema import JobState

logger = logging.getLogger(__name__)

#: Attempts to draw a job before it fails.
MAX_ATTEMPTS = 2
#: The longest that images wait, in seconds, for the next batch to be marked as running before they are stored.
MAX_STORING_DELAY = 1.0


class ProgressCallback(Protocol):
    def __call__(self, job: Job, progress: JobProgress) -> None: ...


@dataclass(frozen=True)
class WorkerServices:
    """What all workers share.

    tell: called, in the event loop, at every step of every job.
    drawn: called with the engine's name and the images of every batch.
    typical_pace: seconds per credit of an engine that has drawn nothing yet, if any has drawn.
    """

    queue: FairQueue
    database: Database
    status: StatusMessages
    outbox: Outbox
    image_policy: ImagePolicy
    tell: ProgressCallback
    drawn: Callable[[str, Sequence[EncodedImage]], None]
    typical_pace: Callable[[], float | None]


@dataclass(eq=False)
class _Batch:
    """Jobs that a worker has taken from the queue, until their images are stored.

    job_ids: without those that were queued again. cancelled: those of them that were cancelled.
    """

    job_ids: set[int]
    cancelled: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class _DrawnJob:
    job: Job
    spec: JobSpec
    images: Sequence[EncodedImage]


class Worker:
    """One engine's loop. An engine that dies is restarted; meanwhile others draw its batch.

    The images of a batch are stored while the engine draws the next one. Storing waits until that one is marked as
    running, so that the engine never waits for another transaction of this worker.
    """

    def __init__(self, engine: SupervisedEngine, services: WorkerServices) -> None:
        self.engine = engine
        self.throughput = Throughput()
        self._services = services
        self._queue = services.queue
        self._database = services.database
        self._outbox = services.outbox
        self._batches: list[_Batch] = []  # the one being drawn, and the previous one while it is stored
        self._storing: asyncio.Task[None] | None = None
        #: Set once the next batch is marked as running, or there is none.
        self._may_store = asyncio.Event()

    async def run(self) -> None:
        """Draw until the queue is closed. If cancelled, its batches are queued again; it may run again."""
        if not self.engine.loaded:
            await self.engine.start()
        try:
            await self._draw_and_store()
        except asyncio.CancelledError:
            in_hand = {job_id for batch in self._batches for job_id in batch.job_ids}
            if in_hand:
                with suppress(StorageUnavailable):  # the next holder of the claim queues them too
                    await self._database.jobs.requeue(in_hand)
            raise
        finally:
            self._batches.clear()

    async def _draw_and_store(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._draw_all(tasks)
        except ExceptionGroup as failures:  # a bug; the group would only hide it
            raise failures.exceptions[0] from None

    async def _draw_all(self, tasks: asyncio.TaskGroup) -> None:
        while batch := await self._next_batch():
            await self._draw_within_logs(batch, tasks)
            if not self.engine.loaded:
                self._may_store.set()
                if self._queue.closed:
                    return
                await self.engine.restart()

    async def _next_batch(self) -> tuple[QueuedJob, ...]:
        """Empty once the queue is closed. An engine that dies while it waits for jobs is started again."""
        if batch := self._queue.take_now(self._consumer()):
            return batch
        self._may_store.set()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as until_it_dies:
                    return await self._take(lambda: until_it_dies.reschedule(0))
            if self._queue.closed:
                return ()
            await self.engine.restart()

    async def _take(self, died: Callable[[], None]) -> tuple[QueuedJob, ...]:
        """Like `FairQueue.take`; if the engine dies meanwhile, `died` is called and must cancel this."""
        watching = asyncio.create_task(self.engine.wait_for_death())

        def ended(_: object) -> None:
            died()

        watching.add_done_callback(ended)
        try:
            return await self._queue.take(self._consumer())
        finally:
            watching.remove_done_callback(ended)
            watching.cancel()

    def _consumer(self) -> Consumer:
        self.throughput.loaded = self.engine.models_on_device
        self.throughput.full_pass = None if self.engine.description is None else self.engine.description.full_pass
        return self.throughput.consumer(self._services.typical_pace())

    def discard(self, job_id: int) -> None:
        """Stop drawing a job. The engine stops within a step, unless other jobs of the batch are still wanted."""
        for batch in self._batches:
            if job_id in batch.job_ids:
                batch.cancelled.add(job_id)

    async def _draw_within_logs(self, queued: Sequence[QueuedJob], tasks: asyncio.TaskGroup) -> None:
        job_ids = [job.job_id for job in queued]
        batch = _Batch(set(job_ids))
        self._batches.append(batch)
        self.throughput.take(queued)
        try:
            with job_log_context(*sorted(job_ids)):
                if drawn := await self._draw(batch, job_ids):
                    await self._store_later(batch, drawn, tasks)
                else:
                    self._batches.remove(batch)
        finally:
            self.throughput.end()

    async def _draw(self, batch: _Batch, job_ids: Sequence[int]) -> Sequence[_DrawnJob]:
        """Draw the images of a batch's jobs. If the batch fails, its jobs are queued again or fail."""
        jobs, sources = await asyncio.gather(
            self._started(job_ids), retry_storage(lambda: self._database.source_images.of_jobs(job_ids))
        )
        if not jobs:
            return ()
        try:
            specs = [JobSpec.of(job) for job in jobs]
            requests = [
                request
                for job, spec in zip(jobs, specs, strict=True)
                for request in await self._requests(job, spec, sources.get(job.id))
            ]
        except Exception as error:
            await self._recover(jobs, error)
            return ()
        reporter = _Reporter(jobs, specs, partial(self._tell, batch))
        logger.info("drawing %d images", len(requests))
        wanted = frozenset(job.id for job in jobs)
        self.throughput.begin()
        try:
            images = await self.engine.generate(
                requests, reporter.from_thread, lambda: wanted <= batch.cancelled or not self._database.claim.is_held
            )
        except Cancelled:
            await self._return([job for job in jobs if job.id not in batch.cancelled])
            return ()
        except Exception as error:
            await self._recover(jobs, error)
            return ()
        self._services.drawn(self.engine.name, images)
        self.throughput.learn(sum(job.cost for job in jobs))
        drawn = []
        for job, spec in zip(jobs, specs, strict=True):
            drawn.append(_DrawnJob(job, spec, images[: len(spec.recipes)]))
            images = images[len(spec.recipes) :]
        return drawn

    async def _started(self, job_ids: Sequence[int]) -> list[Job]:
        """The jobs of a batch that are still wanted, now running."""
        try:
            started = {job.id: job for job in await retry_storage(lambda: self._database.jobs.start(job_ids))}
        finally:
            self._may_store.set()
        for job_id in job_ids:
            if job_id not in started:  # cancelled, or started by an attempt whose answer was lost
                job = await retry_storage(partial(self._database.jobs.get, job_id))
                if job is not None and job.state is JobState.RUNNING:
                    started[job_id] = job
        return [started[job_id] for job_id in job_ids if job_id in started]

    async def _requests(self, job: Job, spec: JobSpec, source: bytes | None) -> list[GenerationRequest]:
        mask = None
        if spec.area is not None and spec.area.masked:
            mask = await retry_storage(lambda: self._database.source_images.mask_of_job(job.id))
        return await asyncio.to_thread(spec.requests, _opened(source), _opened(mask))

    def _tell(self, batch: _Batch, job: Job, progress: JobProgress) -> None:
        if job.id not in batch.cancelled:
            self._services.tell(job, progress)

    async def _store_later(self, batch: _Batch, drawn: Sequence[_DrawnJob], tasks: asyncio.TaskGroup) -> None:
        """Store the images of a batch, once those of the batch before are stored and the next batch is running."""
        if self._storing is not None:
            await asyncio.wait({self._storing})
        self._may_store = asyncio.Event()
        self._storing = tasks.create_task(self._store(batch, drawn, self._may_store))

    async def _store(self, batch: _Batch, drawn: Sequence[_DrawnJob], may_store: asyncio.Event) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(may_store.wait(), MAX_STORING_DELAY)
        for each in drawn:
            if each.job.id not in batch.cancelled:
                try:
                    await self._keep(each.job, each.spec, each.images)
                except Exception as error:
                    await self._recover([each.job], error)
        self._batches.remove(batch)

    @with_job_log_context
    async def _keep(self, job: Job, spec: JobSpec, images: Sequence[EncodedImage]) -> None:
        """Store the images of a job and have them delivered, if they may be shown."""
        verdict = Verdict.SHOWN
        if not spec.age_restricted:
            verdict = self._services.image_policy.verdict(image.labels for image in images)
        if verdict is not Verdict.SHOWN:
            logger.info("the classifier's verdict: %s", verdict.name.lower())
        if verdict is Verdict.REFUSED:
            await self._outbox.refuse(job, messages.JUDGED_UNFIT)
            return
        new = _new_images(job, spec, images)
        if spec.comparison is not None:
            with speaking(ENGLISH):  # the grid's font has only these letters
                file = await asyncio.to_thread(grid, spec.comparison, [each.content for each in new], job.prompt)
            notes = tuple(dict.fromkeys(note for each in new for note in each.notes))
            labels = _highest(image.labels for image in images)
            as_grid = replace(new[0], content=file.png, width=file.width, height=file.height)
            new = [replace(as_grid, notes=notes, labels=labels)]
        hidden = verdict is Verdict.HIDDEN
        if await retry_storage(lambda: self._database.jobs.rendered(job.id, new, spoiler=hidden)) is not None:
            self._outbox.deliver_later(job)

    async def _recover(self, jobs: Sequence[Job], error: Exception) -> None:
        """After a failed batch, draw its jobs again, each alone, or let them fail with an explanation."""
        logger.error("the batch failed: %s", error)
        wrong_in_itself = len(jobs) == 1 and isinstance(error, InvalidRequest | CheckpointError)
        for job in jobs:
            if wrong_in_itself or job.attempts >= MAX_ATTEMPTS:
                await self._outbox.fail(job, messages.reason_of(error))
            elif await retry_storage(partial(self._database.jobs.put_back, [job.id])):
                self._put_back(job)

    async def _return(self, jobs: Sequence[Job]) -> None:
        """Queue jobs again that are still wanted: the claim seemed lost while they were drawn, but was not."""
        for job in jobs:
            if await retry_storage(partial(self._database.jobs.requeue, [job.id])):
                self._put_back(replace(job, attempts=job.attempts - 1))

    def _put_back(self, job: Job) -> None:
        for batch in self._batches:
            batch.job_ids.discard(job.id)
        self._queue.put_back(queued_job(job))
        self._services.status.note_queued(job)


class _Reporter:
    """Passes the engine's progress from its thread to the event loop, for each job of a batch."""

    def __init__(self, jobs: Sequence[Job], specs: Sequence[JobSpec], tell: Callable[[Job, JobProgress], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = tell
        self._jobs = {job.id: job for job in jobs}
        self._job_of = [job.id for job, spec in zip(jobs, specs, strict=True) for _ in spec.recipes]
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
            self._report(self._jobs[job_id], JobProgress(fraction, progress.step, progress.steps, previews))


def _opened(file: bytes | None) -> Image.Image | None:
    return None if file is None else Image.open(io.BytesIO(file))


def _new_images(job: Job, spec: JobSpec, images: Sequence[EncodedImage]) -> list[NewImage]:
    return [
        NewImage(
            index=index,
            prompt=recipe.prompt,
            seed=image.seed,
            width=image.width,
            height=image.height,
            file_name=messages.file_name(job.id, index),
            content=image.png,
            notes=tuple(map(stored_note, image.notes)),
            labels=image.labels,
        )
        for index, (recipe, image) in enumerate(zip(spec.recipes, images, strict=True))
    ]


def _highest(images: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The highest probability of each label over several images."""
    highest: dict[str, float] = {}
    for labels in images:
        for label, probability in labels.items():
            highest[label] = max(probability, highest.get(label, 0.0))
    return highest
