"""The engine as the worker sees it: loaded, started again when its process has died, and stopped in the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from bot.ops.shutdown import ShuttingDown
from inference import EncodedImage, EngineClient, EngineDescription, GenerationRequest
from inference.process import EngineDied
from inference.request import OnProgress

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Times that the engine's process may die while it loads the model, before the bot gives up.
MAX_STARTS = 3
#: Seconds before it is started again, and each time as many more.
START_AGAIN_AFTER = 2.0
#: Seconds before an engine that does not end is stopped again.
STOP_AGAIN_AFTER = 1.0


class SupervisedEngine:
    """Calls the engine in threads, one call at a time. A caller that is cancelled does not end the call."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._description: asyncio.Future[EngineDescription] = asyncio.get_running_loop().create_future()
        self._call: asyncio.Task[Any] | None = None
        self._closing = False
        #: Whether the engine has its model; not while it is started again.
        self.loaded = False

    @property
    def engine_restarts(self) -> int:
        return max(0, self._engine.starts - 1)

    async def description(self) -> EngineDescription:
        """What the loaded model says of itself; waits while it is loading."""
        return await asyncio.shield(self._description)

    async def start(self) -> None:
        """Load the engine, more than once if its process dies over it. Raises EngineFailed, EngineDied."""
        self.loaded = False
        started = time.monotonic()
        description = await self._start()
        logger.info("loaded %s in %.1f s", description.name, time.monotonic() - started)
        self.loaded = True
        if not self._description.done():
            self._description.set_result(description)

    async def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress, cancelled: Callable[[], bool]
    ) -> list[EncodedImage]:
        """Raises Cancelled, EngineDied, EngineFailed, InvalidRequest, CheckpointError."""
        return await self._run(self._engine.generate, requests, on_progress, lambda: self._closing or cancelled())

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

    async def _start(self) -> EngineDescription:
        for attempt in range(1, MAX_STARTS):
            try:
                return await self._run(self._engine.start)
            except EngineDied as error:
                logger.error("%s Starting it again.", error)
                await asyncio.sleep(attempt * START_AGAIN_AFTER)
        return await self._run(self._engine.start)

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._call = task = asyncio.create_task(asyncio.to_thread(call, *args, **kwargs))
        # What nobody waits for any longer need not be said.
        task.add_done_callback(lambda task: None if task.cancelled() else task.exception())
        return await asyncio.shield(task)
