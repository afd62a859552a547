"""Keeps Discord's rate limits free for finished images: progress takes only what is left.

Discord allows the whole bot 50 requests a second, and about five edits in five seconds in each channel. Requests by an
interaction's token count towards neither; progress goes that way for as long as the token is valid.

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

#: How many of the about five edits in five seconds that Discord allows in a channel may be progress.
STATUS_EDITS, STATUS_PERIOD = 2, 5.5
#: Seconds in which requests are counted: Discord's one, and a little for requests that overtake each other.
PERIOD = 1.05
#: Paths, after the API's address, of requests that do not count.
_BY_TOKEN = re.compile(r"/(interactions|webhooks)/\d+/")


class Urgency(IntEnum):
    """What a request is for; the lower, the earlier it is sent."""

    RESULT = 0
    OTHER = 1
    PROGRESS = 2


#: Requests of Discord's 50 that are used up before one of this urgency has to wait. The bot never uses the last five:
#: Discord may count from another moment.
LIMITS = {Urgency.RESULT: 45, Urgency.OTHER: 40, Urgency.PROGRESS: 20}


def counts(url: URL) -> bool:
    """Whether a request counts towards the limit of the whole bot."""
    address = str(url)
    return address.startswith(Route.BASE) and _BY_TOKEN.match(address, len(Route.BASE)) is None


class RequestBudget:
    """The requests of the whole bot. The most urgent waiting one is sent first."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()  # when, in the last `PERIOD` seconds
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []  # a heap
        self._numbers = itertools.count()
        self._waking: asyncio.TimerHandle | None = None

    async def spend(self, urgency: Urgency) -> None:
        """Waits until a request may be sent, and counts it. If cancelled meanwhile, nothing is counted."""
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
        """Look again once the oldest request is forgotten."""
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
    """How many progress edits each channel's rate limit has room for, so that results never wait."""

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
