"""One engine's worker: takes jobs from the queue, runs the engine, passes the images to the outbox."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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
from bot.ops.logs import about, about_its_job
from bot.rules.image_policy import ImagePolicy, Verdict
from bot.text.languages import ENGLISH, speaking
from inference import Cancelled, CheckpointError, EncodedImage, GenerationRequest, InvalidRequest, Progress
from storage.backend.transactions import StorageUnavailable
from storage.database import Database
from storage.images import NewImage
from storage.jobs import Job
from storage.schema import JobState

logger = logging.getLogger(__name__)

#: Attempts to draw a job before it fails.
MAX_ATTEMPTS = 2


class Tell(Protocol):
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
    tell: Tell
    drawn: Callable[[str, Sequence[EncodedImage]], None]
    typical_pace: Callable[[], float | None]


class Worker:
    """One engine's loop. An engine that dies is restarted; meanwhile others draw its batch."""

    def __init__(self, engine: SupervisedEngine, services: WorkerServices) -> None:
        self.engine = engine
        self.throughput = Throughput()
        self._services = services
        self._queue = services.queue
        self._database = services.database
        self._outbox = services.outbox
        self._in_hand: set[int] = set()  # ids of the batch's jobs, without those that were queued again
        self._cancelled: set[int] = set()

    async def run(self) -> None:
        """Draw until the queue is closed. If cancelled, its batch is queued again; it may run again."""
        if not self.engine.loaded:
            await self.engine.start()
        while batch := await self._next_batch():
            await self._draw_within_logs(batch)
            if not self.engine.loaded:
                if self._queue.closed:
                    return
                await self.engine.start_again()

    async def _next_batch(self) -> tuple[QueuedJob, ...]:
        """Empty once the queue is closed. An engine that dies while it waits for jobs is started again."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as until_it_dies:
                    return await self._take(lambda: until_it_dies.reschedule(0))
            if self._queue.closed:
                return ()
            await self.engine.start_again()

    async def _take(self, died: Callable[[], None]) -> tuple[QueuedJob, ...]:
        """As `FairQueue.take`; `died` is called if the engine dies meanwhile, and has to cancel this."""
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
        self.throughput.loaded = self.engine.models_at_hand
        self.throughput.full_pass = None if self.engine.description is None else self.engine.description.full_pass
        return self.throughput.consumer(self._services.typical_pace())

    def discard(self, job_id: int) -> None:
        """Draw no more of such a job; it stops within a step, unless other jobs of the batch are still wanted."""
        if job_id in self._in_hand:
            self._cancelled.add(job_id)

    async def _draw_within_logs(self, batch: Sequence[QueuedJob]) -> None:
        self._in_hand = {job.job_id for job in batch}
        self.throughput.take(batch)
        try:
            with about(*sorted(self._in_hand)):
                await self._draw(batch)
        except asyncio.CancelledError:
            with suppress(StorageUnavailable):  # the next holder of the claim queues them too
                await self._database.jobs.requeue(self._in_hand)
            raise
        finally:
            self._in_hand = set()
            self.throughput.end()
            self._cancelled.clear()

    async def _draw(self, batch: Sequence[QueuedJob]) -> None:
        jobs = await self._started(batch)
        if not jobs:
            return
        try:
            specs = [JobSpec.of(job) for job in jobs]
            requests = [
                request for job, spec in zip(jobs, specs, strict=True) for request in await self._requests(job, spec)
            ]
        except Exception as error:
            await self._recover(jobs, error)
            return
        reporter = _Reporter(jobs, specs, self._tell)
        logger.info("drawing %d images", len(requests))
        wanted = frozenset(job.id for job in jobs)
        self.throughput.begin()
        try:
            images = await self.engine.generate(
                requests, reporter.from_thread, lambda: wanted <= self._cancelled or not self._database.claim.is_held
            )
        except Cancelled:
            await self._return([job for job in jobs if job.id not in self._cancelled])
            return
        except Exception as error:
            await self._recover(jobs, error)
            return
        self._services.drawn(self.engine.name, images)
        self.throughput.learn(sum(job.cost for job in jobs))
        for job, spec in zip(jobs, specs, strict=True):
            own, images = images[: len(spec.recipes)], images[len(spec.recipes) :]
            if job.id not in self._cancelled:
                try:
                    await self._keep(job, spec, own)
                except Exception as error:
                    await self._recover([job], error)

    async def _started(self, batch: Sequence[QueuedJob]) -> list[Job]:
        """The jobs of a batch that are still wanted, now running."""
        job_ids = [job.job_id for job in batch]
        await retry_storage(lambda: self._database.jobs.start(job_ids))
        found = [await retry_storage(partial(self._database.jobs.get, job_id)) for job_id in job_ids]
        return [job for job in found if job is not None and job.state is JobState.RUNNING]

    async def _requests(self, job: Job, spec: JobSpec) -> list[GenerationRequest]:
        source = await retry_storage(lambda: self._database.source_images.of_job(job.id))
        mask = None
        if spec.area is not None and spec.area.masked:
            mask = await retry_storage(lambda: self._database.source_images.mask_of_job(job.id))
        return await asyncio.to_thread(spec.requests, _opened(source), _opened(mask))

    def _tell(self, job: Job, progress: JobProgress) -> None:
        if job.id not in self._cancelled:
            self._services.tell(job, progress)

    @about_its_job
    async def _keep(self, job: Job, spec: JobSpec, images: Sequence[EncodedImage]) -> None:
        """Stores the images of a job and has them delivered, if they may be shown."""
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
            with speaking(ENGLISH):  # the letters that the grid's font has
                file = await asyncio.to_thread(grid, spec.comparison, [each.content for each in new], job.prompt)
            notes = tuple(dict.fromkeys(note for each in new for note in each.notes))
            labels = _highest(image.labels for image in images)
            as_grid = replace(new[0], content=file.png, width=file.width, height=file.height)
            new = [replace(as_grid, notes=notes, labels=labels)]
        hidden = verdict is Verdict.HIDDEN
        if await retry_storage(lambda: self._database.jobs.rendered(job.id, new, spoiler=hidden)) is not None:
            self._outbox.deliver_later(job)

    async def _recover(self, jobs: Sequence[Job], error: Exception) -> None:
        """After a failed batch: its jobs are drawn again, each alone, or fail with an explanation."""
        logger.error("the batch failed: %s", error)
        wrong_in_itself = len(jobs) == 1 and isinstance(error, InvalidRequest | CheckpointError)
        for job in jobs:
            if wrong_in_itself or job.attempts >= MAX_ATTEMPTS:
                await self._outbox.fail(job, messages.reason_of(error))
            elif await retry_storage(partial(self._database.jobs.put_back, [job.id])):
                self._put_back(job)

    async def _return(self, jobs: Sequence[Job]) -> None:
        """Jobs that are still wanted go back in line: the claim seemed lost while they were drawn, and was not."""
        for job in jobs:
            if await retry_storage(partial(self._database.jobs.requeue, [job.id])):
                self._put_back(replace(job, attempts=job.attempts - 1))

    def _put_back(self, job: Job) -> None:
        self._in_hand.discard(job.id)
        self._queue.put_back(queued_job(job))
        self._services.status.waits(job)


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
