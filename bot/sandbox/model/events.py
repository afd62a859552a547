"""The log of everything that happens. Tests wait for its events, and the page follows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.sandbox.model.clock import Clock
from bot.sandbox.model.errors import JSON

MessageT = TypeVar("MessageT")
InteractionT = TypeVar("InteractionT")


@dataclass(frozen=True)
class Event(Generic[MessageT, InteractionT]):
    """One thing that happened. `data` is JSON for the page; `message` and `interaction` are for code.

    Kinds: message_create, message_update, message_delete, typing, interaction_create, interaction_acknowledged,
    interaction_failed, commands_update, channel_update, channel_delete, guild_delete, guild_ban_add, gateway_ready,
    gateway_resumed, gateway_closed.
    """

    number: int
    at: float
    kind: str
    data: JSON
    message: MessageT | None = None
    interaction: InteractionT | None = None


class EventLog(Generic[MessageT, InteractionT]):
    """All events in order, numbered from 1, and the listeners to new ones."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: list[Callable[[Event[MessageT, InteractionT]], None]] = []
        self.history: list[Event[MessageT, InteractionT]] = []
        self._streams: set[asyncio.Event] = set()
        self._is_closed = False

    def emit(
        self, kind: str, data: JSON, message: MessageT | None = None, interaction: InteractionT | None = None
    ) -> Event[MessageT, InteractionT]:
        event = Event(len(self.history) + 1, self._clock.now(), kind, data, message, interaction)
        self.history.append(event)
        for listener in list(self._listeners):
            listener(event)
        return event

    def listen(self, listener: Callable[[Event[MessageT, InteractionT]], None]) -> Callable[[], None]:
        """Calls `listener` with every later event, in order. Returns a function that stops this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def close(self) -> None:
        """Ends every stream once it has yielded all events."""
        self._is_closed = True
        for news in self._streams:
            news.set()

    async def stream(self, after: int = 0) -> AsyncIterator[Event[MessageT, InteractionT]]:
        """Yields every event numbered above `after`: the past ones, then each as it happens, until `close`."""
        news = asyncio.Event()
        self._streams.add(news)
        stop = self.listen(lambda _: news.set())
        try:
            while after < len(self.history) or not self._is_closed:
                news.clear()
                for event in self.history[after:]:
                    yield event
                    after = event.number
                if after >= len(self.history) and not self._is_closed:
                    await news.wait()
        finally:
            self._streams.remove(news)
            stop()

    async def wait_for(
        self, matches: Callable[[Event[MessageT, InteractionT]], bool], after: int = 0
    ) -> Event[MessageT, InteractionT]:
        """Waits for the first event numbered above `after` that matches. Raises EOFError after `close`."""
        async for event in self.stream(after):
            if matches(event):
                return event
        raise EOFError("The stand-in was closed before this happened.")
