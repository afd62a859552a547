"""Tasks that send something to Discord and can be dropped safely at any moment.

discord.py waits for rate limits while it holds locks, before and after a request, and repeats some requests. Only the
requests themselves show what a task is doing, so they are traced.
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
    """The message that a task sends is no longer wanted, so nothing more is sent."""


class Transmission(Generic[T]):
    """A task that sends requests to Discord. `task` raises what `send` raises, or `Dropped`."""

    def __init__(self, send: Coroutine[Any, Any, T], name: str, urgency: Urgency = Urgency.RESULT) -> None:
        self.urgency = urgency
        self._on_wire = False
        #: Whether discord.py has a final answer. It may still hold a lock and be waiting.
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
        """Drop the task unless a request was already sent or just answered. Returns whether it was dropped."""
        if self._on_wire or self._answered:
            return False
        self._dropped = True
        self.task.cancel()
        return True

    async def drop(self, timeout: float | None = None) -> bool:
        """Send nothing more. Waits up to `timeout` seconds for the answer to a request already sent.

        Returns False if there was no answer, so the request may still take effect later.
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
        """`status`: of the answer; None if there was no answer."""
        self._on_wire = False
        sent_again = status == TOO_MANY_REQUESTS or (status is not None and status >= 500)
        self._answered = status is not None and (not sent_again or self._sent % MAX_SENDS == 0)
        if self._answered:
            self._sent = 0
        self._changed.set()

    def _pauses(self) -> None:
        self._answered = False


def note_pause() -> None:
    """Note that the calling task is outside discord.py and pauses before it sends again."""
    if (transmission := _current.get()) is not None:
        transmission._pauses()


def independent_task(send: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
    """Start a task that is not dropped together with the current transmission."""
    context = copy_context()
    context.run(_current.set, None)
    return asyncio.create_task(send(), context=context)


def trace(budget: RequestBudget, may_send: Callable[[], bool] = lambda: True) -> aiohttp.TraceConfig:
    """For discord.py's `http_trace`: every request waits for its turn, and those of transmissions are traced.

    `may_send` is called last, just before a transmission's request is sent: after this machine has slept, an old
    request must not replace what another bot posted meanwhile.
    """
    config = aiohttp.TraceConfig()

    @config.on_request_start.append
    async def starts(session: Any, context: Any, parameters: aiohttp.TraceRequestStartParams) -> None:
        transmission = _current.get()
        urgency = Urgency.OTHER if transmission is None else transmission.urgency
        # Progress has spent its budget earlier: here discord.py holds the channel's lock, and a result may need it.
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
