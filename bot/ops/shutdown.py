"""Graceful shutdown: nothing new is started, and running work is finished or queued again.

The first SIGTERM or SIGINT starts it and its grace period; a second one ends the grace period. On Windows, Ctrl-C,
Ctrl-Break and closing the console do that; after the latter, Windows ends the process in 5 seconds.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

logger = logging.getLogger(__name__)


class ShuttingDown(Exception):
    """A request came while the bot is shutting down."""


class DuplicateInteraction(Exception):
    """Discord sent an interaction twice, as it may after a lost connection."""


#: Number of recent interactions that are remembered to recognize duplicates.
CACHED_INTERACTIONS = 1000


class InteractionTracker:
    """The tasks that are answering interactions."""

    def __init__(self) -> None:
        self.closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._seen: dict[int, None] = {}  # an ordered set

    def begin(self, interaction_id: int) -> None:
        """Registers the current task as answering. Raises DuplicateInteraction, or ShuttingDown after `close`."""
        if interaction_id in self._seen:
            raise DuplicateInteraction
        if self.closed:
            raise ShuttingDown
        self._seen[interaction_id] = None
        if len(self._seen) > CACHED_INTERACTIONS:
            del self._seen[next(iter(self._seen))]
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        self.closed = True

    async def finish(self) -> None:
        """Wait for all of them."""
        while self._tasks:
            await asyncio.wait(self._tasks)


class Shutdown:
    def __init__(self, grace: float) -> None:
        """`grace`: seconds."""
        self.requested = asyncio.Event()
        #: Whether it was requested twice.
        self.hurried = False
        self._grace = grace
        self._grace_ended = asyncio.Event()

    @classmethod
    @contextmanager
    def by_signal(cls, grace: float) -> Iterator[Shutdown]:
        shutdown, loop = cls(grace), asyncio.get_running_loop()
        with ExitStack() as handlers:
            for number in _signals():
                handlers.enter_context(_handled(number, shutdown.request, loop))
            yield shutdown

    def request(self) -> None:
        if self.requested.is_set():
            logger.info("second signal: stopping now")
            self.hurried = True
            self._grace_ended.set()
        else:
            logger.info("shutting down: finishing running jobs, for %g seconds at most", self._grace)
            self.requested.set()
            asyncio.get_running_loop().call_later(self._grace, self._grace_ended.set)

    async def within_grace(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, and cancel it when the grace period is over."""
        working, ended = asyncio.create_task(work), asyncio.create_task(self._grace_ended.wait())
        await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not working.done():
            working.cancel()
        await asyncio.gather(working, ended, return_exceptions=True)
        if not working.cancelled() and (error := working.exception()) is not None:
            logger.error("an error occurred during the shutdown", exc_info=error)


def _signals() -> list[signal.Signals]:
    """On Windows also SIGBREAK, for Ctrl-Break and for a closed console."""
    names = ("SIGTERM", "SIGINT", "SIGBREAK")
    return [signal.Signals(getattr(signal, name)) for name in names if hasattr(signal, name)]


@contextmanager
def _handled(number: signal.Signals, request: Callable[[], None], loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Make the loop call `request` for the signal; on Windows, whose loops cannot, with a handler of `signal`."""
    try:
        loop.add_signal_handler(number, request)
    except NotImplementedError:
        before = signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(request))
        try:
            yield
        finally:
            signal.signal(number, before)
    else:
        try:
            yield
        finally:
            loop.remove_signal_handler(number)
