"""Tasks that send something to Discord and can be dropped at any moment without harm.

discord.py waits for rate limits inside its locks, before a request and after it, and tries some requests again. So what
a task is doing can be seen only from the requests themselves, and these are traced.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Generic, TypeVar

import aiohttp

from bot.jobs.delivery.refusals import TOO_MANY_OLD_EDITS, TOO_MANY_REQUESTS, OldMessageRefused

T = TypeVar("T")

#: Times that discord.py sends one request.
SENT_AT_MOST = 5

_current: ContextVar[Transmission[Any] | None] = ContextVar("transmission", default=None)


class Dropped(Exception):
    """What a task was to send is not wanted any longer, so nothing more is sent."""


class Transmission(Generic[T]):
    """A task that talks to Discord. `task` raises what `send` raises, `Dropped` among it."""

    def __init__(self, send: Coroutine[Any, Any, T], name: str) -> None:
        self._on_wire = False
        #: discord.py has an answer that it does not ask for again. It may still hold a lock, and wait in it.
        self._answered = False
        self._sent = 0
        self._dropped = False
        self._changed = asyncio.Event()
        context = copy_context()
        context.run(_current.set, self)
        self.task = asyncio.create_task(send, name=name, context=context)
        self.task.add_done_callback(lambda _: self._changed.set())

    @property
    def done(self) -> bool:
        return self.task.done()

    def drop_unsent(self) -> bool:
        """Drop it unless something of it is on the wire, or was answered just now. Whether it was dropped."""
        if self._on_wire or self._answered:
            return False
        self._dropped = True
        self.task.cancel()
        return True

    async def drop(self, patience: float | None = None) -> bool:
        """Send nothing more. What is on the wire gets its answer, for which this waits `patience` seconds.

        False: there was no answer, so what was sent may still have its effect some time.
        """
        self._dropped = True
        try:
            async with asyncio.timeout(patience):
                while self._on_wire and not self.task.done():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.task.cancel()
            return False
        if not self._answered:
            self.task.cancel()
        return True

    # Called by the traces, in the task itself

    def _starts(self) -> None:
        if self._dropped:
            raise Dropped
        self._on_wire, self._answered = True, False
        self._sent += 1

    def _ends(self, status: int | None) -> None:
        """`status`: of the answer; None without one."""
        self._on_wire = False
        sent_again = status == TOO_MANY_REQUESTS or (status is not None and status >= 500)
        self._answered = status is not None and (not sent_again or self._sent % SENT_AT_MOST == 0)
        if self._answered:
            self._sent = 0
        self._changed.set()

    def _pauses(self) -> None:
        self._answered = False


def pausing() -> None:
    """The task that calls this is not inside discord.py, and waits before it sends anything again."""
    if (transmission := _current.get()) is not None:
        transmission._pauses()


def in_any_case(send: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
    """A task for something that is sent even if what it belongs to is dropped."""
    context = copy_context()
    context.run(_current.set, None)
    return asyncio.create_task(send(), context=context)


def trace() -> aiohttp.TraceConfig:
    """For discord.py's `http_trace`: watches the requests of transmissions, and no others."""
    config = aiohttp.TraceConfig()

    @config.on_request_start.append
    async def starts(session: Any, context: Any, parameters: Any) -> None:
        if (transmission := _current.get()) is not None:
            transmission._starts()

    @config.on_request_end.append
    async def ends(session: Any, context: Any, parameters: aiohttp.TraceRequestEndParams) -> None:
        if (transmission := _current.get()) is None:
            return
        response = parameters.response
        if response.status == TOO_MANY_REQUESTS and await _code(response) == TOO_MANY_OLD_EDITS:
            raise OldMessageRefused
        transmission._ends(response.status)

    @config.on_request_exception.append
    async def fails(session: Any, context: Any, parameters: Any) -> None:
        if (transmission := _current.get()) is not None:
            transmission._ends(None)

    return config


async def _code(response: aiohttp.ClientResponse) -> int | None:
    """Discord's code in an answer, which stays readable."""
    try:
        answer = json.loads(await response.text())
    except ValueError:
        return None
    return answer.get("code") if isinstance(answer, dict) else None
