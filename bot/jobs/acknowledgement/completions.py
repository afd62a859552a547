"""Decides the order in which autocomplete requests are answered, so that many of them delay no command."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)

#: Seconds. Discord gives up after three, and answering takes time too.
MAX_AGE = 2.5
#: Seconds until the next completion starts, however busy the loop was.
MAX_PAUSE = 0.003


@dataclass(frozen=True)
class _WaitingCompletion:
    payload: Mapping[str, Any]
    since: float


class CompletionQueue:
    """Starts completions one at a time, with pauses for everything else. `begin` is where discord.py would start them.

    Of a user's waiting completions only the newest is answered, because Discord shows no other. It goes to the end of
    the queue: a user who keeps typing will soon replace it.
    """

    def __init__(self, begin: Callable[[Mapping[str, Any]], None]) -> None:
        self._begin = begin
        #: By user id, in the order in which they will start.
        self._waiting: OrderedDict[str, _WaitingCompletion] = OrderedDict()
        self._serving: asyncio.Task[None] | None = None

    def add(self, payload: Mapping[str, Any]) -> None:
        """Call `begin` with `payload`, which Discord sent, when its turn comes, unless a newer one replaces it."""
        person = _person(payload)
        self._waiting[person] = _WaitingCompletion(payload, asyncio.get_running_loop().time())
        self._waiting.move_to_end(person)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve(), name="completions' turns")

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            began = loop.time()
            _, waiting = self._waiting.popitem(last=False)
            if began - waiting.since > MAX_AGE:
                continue
            try:
                self._begin(waiting.payload)
            except Exception:
                logger.exception("a completion could not be started")
            # The completion's task begins in the first round; whatever it makes ready runs in the second.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(min(loop.time() - began, MAX_PAUSE))


def _person(payload: Mapping[str, Any]) -> str:
    """The id of the user who types, in a server or in a private message."""
    user = payload.get("user") or (payload.get("member") or {}).get("user") or {}
    return str(user.get("id", payload.get("id")))
