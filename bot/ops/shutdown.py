"""How the bot ends when it is told to: nothing new is begun, and what is under way comes to its end or back into line.

The first SIGTERM or SIGINT asks for that and begins the grace that it may take; a second one ends the grace.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

logger = logging.getLogger(__name__)


class ShuttingDown(Exception):
    """What was asked for is not begun any more, because the bot is about to end."""


class DuplicateInteraction(Exception):
    """Discord told of an interaction again, as it may after a lost connection."""


REMEMBERED_INTERACTIONS = 1000


class InteractionTracker:
    """The answers to interactions that are under way."""

    def __init__(self) -> None:
        self.closed = False
        self._under_way: set[asyncio.Task[Any]] = set()
        self._begun: dict[int, None] = {}  # a set that keeps its order

    def begin(self, interaction_id: int) -> None:
        """The current task answers an interaction. Raises ToldTwice, and Leaving once the answers are closed."""
        if interaction_id in self._begun:
            raise DuplicateInteraction
        if self.closed:
            raise ShuttingDown
        self._begun[interaction_id] = None
        if len(self._begun) > REMEMBERED_INTERACTIONS:
            del self._begun[next(iter(self._begun))]
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def close(self) -> None:
        self.closed = True

    async def finish(self) -> None:
        """Wait for those that were begun."""
        while self._under_way:
            await asyncio.wait(self._under_way)


class Shutdown:
    def __init__(self, grace: float) -> None:
        """`grace`: seconds."""
        self.asked = asyncio.Event()
        self.hurried = False
        """Whether it was asked for twice."""
        self._grace = grace
        self._grace_is_over = asyncio.Event()

    @classmethod
    @contextmanager
    def by_signal(cls, grace: float) -> Iterator[Shutdown]:
        ending, loop = cls(grace), asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        with suppress(NotImplementedError):  # on Windows, where Ctrl-C ends the bot as it ever did
            for number in signals:
                loop.add_signal_handler(number, ending.ask)
        try:
            yield ending
        finally:
            with suppress(NotImplementedError):
                for number in signals:
                    loop.remove_signal_handler(number)

    def ask(self) -> None:
        if self.asked.is_set():
            logger.info("told again to end: at once")
            self.hurried = True
            self._grace_is_over.set()
        else:
            logger.info("told to end: finishing what is under way, for %g seconds at most", self._grace)
            self.asked.set()
            asyncio.get_running_loop().call_later(self._grace, self._grace_is_over.set)

    async def within_grace(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work` until it is done or the grace is over, which cancels it."""
        working, over = asyncio.create_task(work), asyncio.create_task(self._grace_is_over.wait())
        await asyncio.wait({working, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not working.done():
            working.cancel()
        await asyncio.gather(working, over, return_exceptions=True)
        if not working.cancelled() and (error := working.exception()) is not None:
            logger.error("something went wrong while ending", exc_info=error)
