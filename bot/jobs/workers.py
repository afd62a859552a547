"""Runs all workers: each takes jobs from the shared queue for its own engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bot.jobs.delivery.outbox import Outbox
from bot.jobs.delivery.progress import JobProgress, StatusMessages
from bot.jobs.engines import ModelUnavailable, SupervisedEngine
from bot.jobs.queue import FairQueue
from bot.jobs.throughput import Forecast, Throughput, typical_pace
from bot.jobs.worker import ProgressCallback, Worker, WorkerServices
from bot.ops import logs
from bot.ops.background import cancel
from bot.ops.health import EngineState, EngineStatus
from bot.ops.shutdown import ShuttingDown
from bot.rules.image_policy import ImagePolicy
from inference import EncodedImage, EngineClient, EngineDescription
from storage.database import Database
from storage.jobs import Job

logger = logging.getLogger(__name__)

#: Seconds that deliveries may take when the bot stops.
CLOSE_TIMEOUT = 10.0


class Workers:
    def __init__(
        self,
        engines: Mapping[str, EngineClient],
        queue: FairQueue,
        database: Database,
        status: StatusMessages,
        outbox: Outbox,
        *,
        image_policy: ImagePolicy | None = None,
        classifies: bool = False,
        drawn: Callable[[str, Sequence[EncodedImage]], None] = lambda engine, images: None,
    ) -> None:
        """`engines` by name. `drawn` is called with an engine's name and the images of every batch.

        `classifies`: whether the operator wants images classified.
        """
        services = WorkerServices(
            queue,
            database,
            status,
            outbox,
            image_policy or ImagePolicy(),
            self._tell,
            drawn,
            lambda: typical_pace(self._throughputs()),
        )
        self._classifies = classifies
        self._workers = [
            Worker(SupervisedEngine(name, client, self._changed, self._problem), services)
            for name, client in engines.items()
        ]
        self._queue = queue
        self._status = status
        self._outbox = outbox
        self._watchers: list[ProgressCallback] = [status.note_progress]
        self._running: dict[Worker, asyncio.Task[None]] = {}
        loop = asyncio.get_running_loop()
        self._first_description: asyncio.Future[EngineDescription] = loop.create_future()
        self._hopeless: asyncio.Future[None] = loop.create_future()
        #: The description of the model loaded last; None if none was loaded yet.
        self.loaded_description: EngineDescription | None = None
        #: When jobs will be ready.
        self.forecast = Forecast(queue, self._throughputs)

    async def run(self) -> None:
        """Draw until the queue is closed. If this is cancelled, drawing ends within a step; it may run again.

        Raises CheckpointError or EngineFailed if every engine failed to load for a reason that the operator must fix,
        and none ever had its model.
        """
        self._running = {worker: asyncio.create_task(self._run(worker)) for worker in self._workers}
        telling = asyncio.create_task(self._status.run(), name="status")
        tasks = self._running.values()
        try:
            while not all(task.done() for task in tasks):
                left = {task for task in tasks if not task.done()}
                ended, _ = await asyncio.wait({*left, self._hopeless}, return_when=asyncio.FIRST_COMPLETED)
                for each in ended:
                    each.result()
        finally:
            telling.cancel()
            await cancel(tasks)

    async def _run(self, worker: Worker) -> None:
        if len(self._workers) == 1:
            await worker.run()
        else:
            with logs.engine_log_context(worker.engine.name):
                await worker.run()

    def watch(self, watcher: ProgressCallback) -> None:
        """Call `watcher`, in the event loop, at every step of every job."""
        self._watchers.append(watcher)

    def _tell(self, job: Job, progress: JobProgress) -> None:
        for watcher in self._watchers:
            watcher(job, progress)

    async def cancel(self, job_id: int) -> None:
        """Drop a job, in any state, that was cancelled in the database. After this, nothing more is posted for it.

        Drawing stops within a step, unless other jobs of the batch are still wanted. This does not wait for requests
        that are not yet sent to Discord.
        """
        self.discard(job_id)
        await self._status.end(job_id)
        self._status.note_shown(job_id, False)
        await self._outbox.drop(job_id)

    def discard(self, job_id: int) -> None:
        """Start nothing more for a job; a request about it may still be on its way."""
        self._queue.remove(job_id)
        for worker in self._workers:
            worker.discard(job_id)

    async def forget(self) -> None:
        """After `run` was cancelled: forget all jobs, because another bot may draw them. Nobody is notified."""
        await self._outbox.close(0)
        self._queue.clear()
        self._status.forget()

    async def finish(self) -> None:
        """Wait for the running batches, once the queue is closed. An engine that is loading has none."""
        while busy := [task for worker, task in self._running.items() if worker.engine.loaded and not task.done()]:
            await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)

    async def close(self, grace: float | None = None) -> None:
        """Let running deliveries finish. Those that wait for Discord are made after the next start.

        grace: seconds that the deliveries may take, and after them the engines' steps; None is CLOSE_TIMEOUT.
        """
        grace = CLOSE_TIMEOUT if grace is None else grace
        await self._outbox.close(grace)
        await asyncio.gather(*(worker.engine.close(grace) for worker in self._workers))

    # the engines

    @property
    def loras(self) -> frozenset[str] | None:
        """The LoRA files that all engines on other machines have; None if all engines are on this one."""
        remote = [
            set(worker.engine.description.loras)
            for worker in self._workers
            if worker.engine.loaded and worker.engine.description and worker.engine.description.model_hash
        ]
        return frozenset(set.intersection(*remote)) if remote else None

    @property
    def loaded(self) -> bool:
        """Whether any engine has its model."""
        return any(worker.engine.loaded for worker in self._workers)

    @property
    def failures(self) -> int:
        """Consecutive failed attempts to load, of the engine with the fewest."""
        return min(worker.engine.failures for worker in self._workers)

    @property
    def unloaded_since(self) -> datetime | None:
        """Since when no engine has had its model (wall clock); None while one has."""
        since = [worker.engine.unloaded_since for worker in self._workers]
        return None if None in since else max(each for each in since if each is not None)

    @property
    def loaded_models(self) -> tuple[str, ...]:
        """The names of the diffusion models that an engine has loaded and can use at once."""
        at_hand = (worker.engine.models_on_device or () for worker in self._workers if worker.engine.loaded)
        return tuple(sorted({name for names in at_hand for name in names if name}))

    def engines(self) -> Sequence[EngineStatus]:
        """What each engine is doing, for the operator."""
        return [
            EngineStatus(worker.engine.name, _state(worker), worker.engine.loaded, worker.engine.restarts)
            for worker in self._workers
        ]

    async def description(self) -> EngineDescription:
        """The description of the loaded model; waits until one is loaded. Raises ModelUnavailable, ShuttingDown."""
        return await asyncio.shield(self._first_description)

    def fail_waiting(self) -> None:
        """Raises ShuttingDown in callers that wait for the model, so that a stopping bot does not keep them waiting."""
        if not self._first_description.done():
            self._first_description.set_exception(ShuttingDown())
            self._first_description.exception()  # nobody may be waiting

    def _changed(self, engine: SupervisedEngine) -> None:
        if engine.loaded and engine.description is not None:
            self.loaded_description = engine.description
            if self._first_description.done():
                self._first_description = asyncio.get_running_loop().create_future()
            self._first_description.set_result(engine.description)
            return
        if self.failures and not self._first_description.done():  # wakes the callers that wait
            self._first_description.set_exception(ModelUnavailable())
            self._first_description.exception()
            self._first_description = asyncio.get_running_loop().create_future()
        if all(worker.engine.fatal for worker in self._workers) and not self._hopeless.done():
            engine.given_up = True
            self._hopeless.set_exception(engine.fatal or ModelUnavailable())

    def _problem(self, engine: SupervisedEngine, description: EngineDescription) -> str | None:
        """Why an engine cannot draw for this bot, if it cannot: images must not depend on the engine."""
        is_elsewhere = bool(description.model_hash)
        if is_elsewhere and self._classifies and not description.classifies:
            return (
                "It has no classifier, so it would show images that the bot's PICTURE_CLASSIFIER should hide. Set "
                "PICTURE_CLASSIFIER on all machines with engines, and start `anima engine` there again."
            )
        others = (worker.engine for worker in self._workers if worker.engine is not engine)
        first = next((other.description for other in others if other.loaded and other.description), None)
        if first is None or (first.model_hash, first.turbo) == (description.model_hash, description.turbo):
            return None
        return (
            f"It has other files ({_files(description)}) than the engines that are already running ({_files(first)}). "
            "Use the same diffusion model and turbo LoRA on all machines."
        )

    def _throughputs(self) -> Sequence[Throughput]:
        """Of the engines that currently draw; of all engines if none does."""
        drawing = [worker.throughput for worker in self._workers if worker.engine.loaded]
        return drawing or [worker.throughput for worker in self._workers]


def _state(worker: Worker) -> EngineState:
    if not worker.engine.loaded:
        return "resting" if worker.engine.resting else "loading"
    return "drawing" if worker.throughput.batch.job_ids else "idle"


def _files(description: EngineDescription) -> str:
    turbo = "no turbo LoRA" if description.turbo is None else f"turbo LoRA {description.turbo.name}"
    return f"{description.name}, {description.model_hash or 'no hash'}, {turbo}"
