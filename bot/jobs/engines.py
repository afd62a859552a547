"""Loads, restarts and stops the engines that the settings ask for, each for its worker."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar

from inference import CheckpointError, EncodedImage, EngineClient, EngineDescription, GenerationRequest
from inference.process import EngineDied, EngineFailed
from inference.request import OnProgress, OutOfMemory
from storage.backend.clock import utc_now

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

#: A log line; takes seconds.
RESTARTING = "the engine is restarted in %.0f s"
#: Seconds before an engine that could not be loaded, or died, is restarted; doubled each time.
MIN_START_DELAY, MAX_START_DELAY = 2.0, 300.0
#: Prevents an overflow. This many doublings exceed MAX_START_DELAY already.
MAX_DOUBLINGS = 30
#: Seconds between two checks of an idle engine.
CHECK_INTERVAL = 1.0
#: Seconds before an engine that does not end is stopped again.
STOP_RETRY_INTERVAL = 1.0
#: Failed batches in a row after which an engine is restarted, because a GPU error may persist in its process.
MAX_FAILED_BATCHES = 2
#: The value of ANIMA_DEVICE that stands for every GPU of the machine.
ALL = "all"
#: Runs in a separate process, because the bot's process never loads PyTorch.
COUNT_GPUS = "import torch; print(torch.cuda.device_count())"
#: Seconds that COUNT_GPUS may take. PyTorch loads slowly from a cold disk.
COUNTING_TIMEOUT = 120.0


def engine_devices(devices: Sequence[str]) -> dict[str, str]:
    """The device of each engine by the engine's name. `devices`: as in `Settings`. Blocks while GPUs are counted."""
    if list(devices) == [ALL]:
        devices = [f"cuda:{number}" for number in range(_count_gpus())] or ["auto"]
    times, seen = Counter(devices), Counter[str]()
    names = {}
    for device in devices:
        seen[device] += 1
        names[device if times[device] == 1 else f"{device}-{seen[device]}"] = device
    return names


def _count_gpus() -> int:
    """The GPUs that PyTorch sees; 0 where it cannot say."""
    try:
        said = subprocess.run(
            [sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True, timeout=COUNTING_TIMEOUT, check=True
        )
        return int(said.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        logger.warning("the GPUs could not be counted, so one engine is started: %s", error)
        return 0


class ModelUnavailable(Exception):
    """The model cannot be loaded now, and its file's header lacks what a request needs."""


class SupervisedEngine:
    """Calls one engine in threads, one call at a time. If the caller is cancelled, drawing ends within a step.

    It has its own threads: a call takes as long as a batch, so many engines would occupy asyncio's few threads and make
    all other users of them wait.
    """

    def __init__(
        self,
        name: str,
        client: EngineClient,
        changed: Callable[[SupervisedEngine], None],
        problem: Callable[[SupervisedEngine, EngineDescription], str | None] = lambda engine, description: None,
    ) -> None:
        """`changed` is called when the engine has loaded its model, and when an attempt to load it has failed.

        `problem` says why a loaded engine with this description cannot be used; None if it can.
        """
        self.name = name
        self._client = client
        self._changed = changed
        self._problem = problem
        #: One for the call, one to stop the engine meanwhile.
        self._threads = ThreadPoolExecutor(2, f"engine-{name}")
        self._call: asyncio.Future[Any] | None = None
        self._closing = False
        #: Whether the engine has its model. False while it restarts.
        self.loaded = False
        #: Whether it is waiting before it restarts.
        self.resting = False
        #: Its description from when it was loaded last.
        self.description: EngineDescription | None = None
        #: Why it could never be loaded, if the operator has to fix that.
        self.fatal: Exception | None = None
        #: Whether the bot exits because of `fatal` and reports it itself.
        self.given_up = False
        #: Failed attempts to load in a row.
        self.failures = 0
        #: Since when there has been no model (wall clock); None while there is one.
        self.unloaded_since: datetime | None = utc_now()
        self._failed_batches = 0
        self._idle_deaths = 0

    @property
    def restarts(self) -> int:
        return max(0, self._client.starts - 1)

    @property
    def models_on_device(self) -> frozenset[str] | None:
        """The models on the device, as requests name them; None where the engine does not say.

        The default model, with which every engine starts, is also listed under an empty name.
        """
        names = frozenset(self._client.loaded_models)
        default = self.description.loaded[:1] if self.description is not None else ()
        return (names | {""} if names.issuperset(default) else names) or None

    async def start(self) -> None:
        """Load the engine, and retry with growing pauses until that succeeds."""
        started, delay = time.monotonic(), MIN_START_DELAY
        while (description := await self._try_to_start(delay)) is None:
            await self._sleep(delay)
            delay = min(2 * delay, MAX_START_DELAY)
        logger.info("loaded %s in %.1f s", description.name, time.monotonic() - started)
        self.description, self.fatal = description, None
        self.loaded, self.failures, self.unloaded_since = True, 0, None
        self._changed(self)

    async def restart(self) -> None:
        """Load an engine that died or failed, after a pause that doubles with each failure since it last drew."""
        setbacks = self._failed_batches + self._idle_deaths
        delay = min(MIN_START_DELAY * 2.0 ** min(setbacks - 1, MAX_DOUBLINGS), MAX_START_DELAY)
        logger.warning(RESTARTING, delay)
        await self._sleep(delay)
        await self.start()

    async def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress, cancelled: Callable[[], bool]
    ) -> list[EncodedImage]:
        """Raises Cancelled, EngineDied, EngineFailed, InvalidRequest, CheckpointError.

        Afterwards the engine may no longer be loaded; call `restart` then.
        """
        abandoned = threading.Event()
        try:
            images = await self._run(
                self._client.generate,
                requests,
                on_progress,
                lambda: self._closing or abandoned.is_set() or cancelled(),
            )
        except asyncio.CancelledError:
            abandoned.set()
            raise
        except (EngineDied, EngineFailed) as error:
            self._failed_batches += 1
            if isinstance(error, EngineDied) or self._failed_batches >= MAX_FAILED_BATCHES:
                self.loaded, self.unloaded_since = False, utc_now()
            raise
        self._failed_batches = self._idle_deaths = 0
        return images

    async def wait_for_death(self) -> None:
        """Return once the engine has died while idle. It is not loaded then; call `restart`."""
        while self.loaded:
            await asyncio.sleep(CHECK_INTERVAL)
            try:
                await self._run(self._client.check)
            except (EngineDied, EngineFailed) as error:
                logger.error("the engine died while idle: %s", error)
                self._idle_deaths += 1
                self.loaded, self.unloaded_since = False, utc_now()

    async def close(self, grace: float) -> None:
        """Stop the engine. `grace`: seconds that it may take to finish its current step."""
        self._closing = True
        if self._call is not None and self.loaded:  # drawing can be interrupted, loading cannot
            await asyncio.wait([self._call], timeout=grace)
        await self._in_thread(self._client.stop)
        while self._call is not None and not self._call.done():
            await asyncio.wait([self._call], timeout=STOP_RETRY_INTERVAL)
            await self._in_thread(self._client.stop)  # the call may have started only now

    async def _sleep(self, seconds: float) -> None:
        self.resting = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.resting = False

    async def _try_to_start(self, delay: float) -> EngineDescription | None:
        try:
            description = await self._run(self._client.start)
            if problem := self._problem(self, description):
                await self._in_thread(self._client.stop)
                raise EngineFailed(problem)
            return description
        except (EngineDied, OutOfMemory, EngineFailed, CheckpointError, OSError) as error:
            self.failures += 1
            # An OSError: no process could be started, for instance because the machine's memory is short.
            if self.description is None and not isinstance(error, EngineDied | OutOfMemory | OSError):
                self.fatal = error
            self._changed(self)
            if not self.given_up:
                logger.error("The model cannot be loaded: %s Trying again in %.0f s.", error, delay)
        return None

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._call is not None and not self._call.done():  # its caller was cancelled
            await asyncio.wait([self._call])
        self._call = called = self._in_thread(call, *args, **kwargs)
        # Retrieves the exception, so that asyncio does not log it when nobody waits for the call any more.
        called.add_done_callback(lambda called: None if called.cancelled() else called.exception())
        return await asyncio.shield(called)

    def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run a call in a thread with the current context, so that log lines from there name this engine too."""
        run = partial(contextvars.copy_context().run, call, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._threads, run)
