"""The order in which autocomplete requests are answered, so that many of them delay no command."""

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
    """Starts completions one after another, with time for everything else in between. It starts where discord.py would.

    Of a person's completions that wait, only the newest begins, and the others are not answered: Discord shows no
    other. It waits behind all that came before it, for who types on will soon want another.
    """

    def __init__(self, begin: Callable[[Mapping[str, Any]], None]) -> None:
        self._begin = begin
        #: By user, the one who has waited longest first.
        self._waiting: OrderedDict[str, _WaitingCompletion] = OrderedDict()
        self._serving: asyncio.Task[None] | None = None

    def add(self, payload: Mapping[str, Any]) -> None:
        """`payload` is what Discord sent; `begin` is called with it when its turn comes, if it does."""
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
            # In the first round its task begins; what that makes ready runs in the second.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(min(loop.time() - began, MAX_PAUSE))


def _person(payload: Mapping[str, Any]) -> str:
    """The id of the user who types, in a server or in a private message."""
    user = payload.get("user") or (payload.get("member") or {}).get("user") or {}
    return str(user.get("id", payload.get("id")))
