"""Reserves room in Discord's rate limits for finished images: progress uses only what is left.

Discord allows the whole bot 50 requests a second, and about five edits in five seconds in each channel. Requests by an
interaction's token count towards neither limit, so progress uses the token while it is valid.

Source: "Rate Limits" in Discord's API reference.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import re
import time
from collections import deque
from enum import IntEnum

from discord.http import Route
from yarl import URL

#: How many progress edits a channel gets in how many seconds. Discord allows about five edits in five seconds.
STATUS_EDITS, STATUS_PERIOD = 2, 5.5
#: Seconds in which requests are counted: Discord's one second, and a margin for requests that overtake each other.
PERIOD = 1.05
#: The paths, after the API's base URL, of requests that do not count.
_BY_TOKEN = re.compile(r"/(interactions|webhooks)/\d+/")


class Urgency(IntEnum):
    """What a request is for. The lowest value is sent first."""

    RESULT = 0
    OTHER = 1
    PROGRESS = 2


#: A request waits once this many requests were sent in the last `PERIOD`. The bot never uses the last five of Discord's
#: 50, because Discord's second may begin at another moment.
LIMITS = {Urgency.RESULT: 45, Urgency.OTHER: 40, Urgency.PROGRESS: 20}


def counts(url: URL) -> bool:
    """Whether a request counts towards the limit of the whole bot."""
    address = str(url)
    return address.startswith(Route.BASE) and _BY_TOKEN.match(address, len(Route.BASE)) is None


class RequestBudget:
    """The whole bot's request limit. The most urgent waiting request is sent first."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()  # when, in the last `PERIOD` seconds
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []  # a heap
        self._numbers = itertools.count()
        self._waking: asyncio.TimerHandle | None = None

    async def spend(self, urgency: Urgency) -> None:
        """Wait until a request may be sent, and count it. If cancelled meanwhile, nothing is counted."""
        if (not self._waiting or urgency < self._waiting[0][0]) and self._has_room(urgency):
            self._sent.append(time.monotonic())
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._numbers), turn))
        self._wake_later()
        await turn

    def _has_room(self, urgency: Urgency) -> bool:
        now = time.monotonic()
        while self._sent and self._sent[0] <= now - PERIOD:
            self._sent.popleft()
        return len(self._sent) < LIMITS[urgency]

    def _wake_later(self) -> None:
        """Check again once the oldest request no longer counts."""
        if self._waking is None:
            oldest = self._sent[0] if self._sent else time.monotonic()
            wait = max(0.0, oldest + PERIOD - time.monotonic())
            self._waking = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        self._waking = None
        while self._waiting:
            urgency, _, turn = self._waiting[0]
            if not turn.done() and not self._has_room(urgency):
                self._wake_later()
                return
            heapq.heappop(self._waiting)
            if not turn.done():
                self._sent.append(time.monotonic())
                turn.set_result(None)


class ChannelBudget:
    """Limits the progress edits in each channel, so that results never wait for the channel's rate limit."""

    def __init__(self) -> None:
        self._edits: dict[int, deque[float]] = {}

    def take(self, channel_id: int) -> bool:
        now = time.monotonic()
        for channel, edits in list(self._edits.items()):
            while edits and edits[0] <= now - STATUS_PERIOD:
                edits.popleft()
            if not edits:
                del self._edits[channel]
        edits = self._edits.setdefault(channel_id, deque())
        if len(edits) >= STATUS_EDITS:
            return False
        edits.append(now)
        return True
