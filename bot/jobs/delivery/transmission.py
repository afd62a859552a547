"""Tasks that send something to Discord and can be dropped safely at any moment.

discord.py waits for rate limits inside its locks, before a request and after it, and tries some requests again. Only
the requests themselves show what a task is doing, so these are traced.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Generic, TypeVar

import aiohttp
from discord.http import Route

from bot.jobs.delivery.refusals import EDITS_REFUSED, TOO_MANY_REQUESTS, OldMessageRefused
from bot.jobs.delivery.request_budget import RequestBudget, Urgency, counts
from bot.text.discord_clock import discord_clock

T = TypeVar("T")

#: How often discord.py sends one request.
MAX_SENDS = 5

_current: ContextVar[Transmission[Any] | None] = ContextVar("transmission", default=None)


class Dropped(Exception):
    """A task's message is no longer wanted, so nothing more is sent."""


class Transmission(Generic[T]):
    """A task that sends requests to Discord. `task` raises what `send` raises, or `Dropped`."""

    def __init__(self, send: Coroutine[Any, Any, T], name: str, urgency: Urgency = Urgency.RESULT) -> None:
        self.urgency = urgency
        self._on_wire = False
        #: discord.py has a final answer. It may still hold a lock and wait in it.
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
        """Drop it unless a request was already sent or just answered. Returns whether it was dropped."""
        if self._on_wire or self._answered:
            return False
        self._dropped = True
        self.task.cancel()
        return True

    async def drop(self, timeout: float | None = None) -> bool:
        """Send nothing more. Waits `timeout` seconds for the answer to a request already sent.

        False: there was no answer, so what was sent may still take effect later.
        """
        self._dropped = True
        try:
            async with asyncio.timeout(timeout):
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
        self._answered = status is not None and (not sent_again or self._sent % MAX_SENDS == 0)
        if self._answered:
            self._sent = 0
        self._changed.set()

    def _pauses(self) -> None:
        self._answered = False


def note_pause() -> None:
    """The calling task is not inside discord.py, and pauses before it sends again."""
    if (transmission := _current.get()) is not None:
        transmission._pauses()


def independent_task(send: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
    """A task that is not dropped together with the transmission it belongs to."""
    context = copy_context()
    context.run(_current.set, None)
    return asyncio.create_task(send(), context=context)


def trace(budget: RequestBudget, may_send: Callable[[], bool] = lambda: True) -> aiohttp.TraceConfig:
    """For discord.py's `http_trace`: every request waits for its turn, and those of transmissions are traced.

    `may_send` is asked last, before a transmission's request goes out: what was written before a sleep of this machine
    must not replace what another bot posted meanwhile.
    """
    config = aiohttp.TraceConfig()

    @config.on_request_start.append
    async def starts(session: Any, context: Any, parameters: aiohttp.TraceRequestStartParams) -> None:
        transmission = _current.get()
        urgency = Urgency.OTHER if transmission is None else transmission.urgency
        # Progress has waited before: in here discord.py holds the lock of a channel, for which a result may wait.
        if urgency is not Urgency.PROGRESS and counts(parameters.url):
            await budget.spend(urgency)
        if transmission is not None:
            if not may_send():
                raise Dropped
            transmission._starts()

    @config.on_request_end.append
    async def ends(session: Any, context: Any, parameters: aiohttp.TraceRequestEndParams) -> None:
        response = parameters.response
        if str(parameters.url).startswith(Route.BASE):
            discord_clock.note(response.headers.get("Date"))
        if (transmission := _current.get()) is None:
            return
        if response.status == TOO_MANY_REQUESTS and await _code(response) in EDITS_REFUSED:
            raise OldMessageRefused
        transmission._ends(response.status)

    @config.on_request_exception.append
    async def fails(session: Any, context: Any, parameters: Any) -> None:
        if (transmission := _current.get()) is not None:
            transmission._ends(None)

    return config


async def _code(response: aiohttp.ClientResponse) -> int | None:
    """Discord's error code in an answer, whose body can still be read afterwards."""
    try:
        answer = json.loads(await response.text())
    except ValueError:
        return None
    return answer.get("code") if isinstance(answer, dict) else None
