"""The engine as the worker sees it: loaded, started again when its process has died, and stopped in the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from bot.ops.shutdown import ShuttingDown
from inference import CheckpointError, EncodedImage, EngineClient, EngineDescription, GenerationRequest
from inference.process import EngineDied, EngineFailed
from inference.request import OnProgress, OutOfMemory
from storage.backend.clock import utc_now

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Seconds before an engine that could not be loaded is started again, each time twice as long.
START_AGAIN_AFTER, MAX_START_DELAY = 2.0, 300.0
#: Seconds before an engine that does not end is stopped again.
STOP_AGAIN_AFTER = 1.0


class ModelUnavailable(Exception):
    """The model cannot be loaded now, and its file's header lacks what a request needs."""


class SupervisedEngine:
    """Calls the engine in threads, one call at a time. A caller that is cancelled does not end the call."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._description: asyncio.Future[EngineDescription] = asyncio.get_running_loop().create_future()
        self._call: asyncio.Task[Any] | None = None
        self._closing = False
        #: Whether the engine has its model; not while it is started again.
        self.loaded = False
        #: Failed attempts to load in a row.
        self.failures = 0
        #: Since when there has been no model (wall clock); None while there is one.
        self.unloaded_since: datetime | None = utc_now()

    @property
    def engine_restarts(self) -> int:
        return max(0, self._engine.starts - 1)

    @property
    def loaded_description(self) -> EngineDescription | None:
        """The description of the model loaded last; None if there was none."""
        is_known = self._description.done() and self._description.exception() is None
        return self._description.result() if is_known else None

    async def description(self) -> EngineDescription:
        """What the loaded model says of itself; waits while it is loading."""
        return await asyncio.shield(self._description)

    async def start(self) -> None:
        """Load the engine, retrying with growing pauses.

        Raises errors that the operator must fix, CheckpointError or EngineFailed, only at the first start: later, the
        file may just be in the middle of being replaced.
        """
        self.loaded = False
        self.unloaded_since = self.unloaded_since or utc_now()
        started, delay = time.monotonic(), START_AGAIN_AFTER
        while (description := await self._try_to_start(delay)) is None:
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_START_DELAY)
        logger.info("loaded %s in %.1f s", description.name, time.monotonic() - started)
        self.loaded, self.failures, self.unloaded_since = True, 0, None
        if self._description.done():
            self._description = asyncio.get_running_loop().create_future()
        self._description.set_result(description)

    async def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress, cancelled: Callable[[], bool]
    ) -> list[EncodedImage]:
        """Raises Cancelled, EngineDied, EngineFailed, InvalidRequest, CheckpointError."""
        try:
            return await self._run(self._engine.generate, requests, on_progress, lambda: self._closing or cancelled())
        except EngineDied:
            self.loaded = False
            raise

    def fail_waiting(self) -> None:
        """Those who wait for the model are not kept waiting by a bot that ends: ShuttingDown is raised there."""
        if not self._description.done():
            self._description.set_exception(ShuttingDown())
            self._description.exception()  # nobody may be waiting

    async def close(self, grace: float) -> None:
        """End the engine. `grace`: seconds for the step that it is in."""
        self._closing = True
        if self._call is not None and self.loaded:  # loading cannot be hurried, drawing can
            await asyncio.wait([self._call], timeout=grace)
        await asyncio.to_thread(self._engine.stop)
        while self._call is not None and not self._call.done():
            await asyncio.wait([self._call], timeout=STOP_AGAIN_AFTER)
            await asyncio.to_thread(self._engine.stop)  # the call may have started only now

    async def _try_to_start(self, delay: float) -> EngineDescription | None:
        try:
            return await self._run(self._engine.start)
        except (EngineDied, OutOfMemory, EngineFailed, CheckpointError) as error:
            if self.loaded_description is None and not isinstance(error, EngineDied | OutOfMemory):
                raise
            self.failures += 1
            logger.error("The model cannot be loaded: %s Trying again in %.0f s.", error, delay)
        if not self._description.done():  # wakes those who wait
            self._description.set_exception(ModelUnavailable())
            self._description.exception()
            self._description = asyncio.get_running_loop().create_future()
        return None

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._call = task = asyncio.create_task(asyncio.to_thread(call, *args, **kwargs))
        # What nobody waits for any longer need not be said.
        task.add_done_callback(lambda task: None if task.cancelled() else task.exception())
        return await asyncio.shield(task)
