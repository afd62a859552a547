"""Collects the messages that were deleted in all servers, and has them processed in batches.

Discord reports every deletion, and few concern the bot's messages. Processed one by one, they would pile up while the
database is unavailable, each retrying on its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

logger = logging.getLogger(__name__)

#: Messages processed together. A database statement accepts about 30,000 values.
MESSAGE_BATCH_SIZE = 1000


class Deletions:
    """`deleted` is awaited with the ids of deleted messages, one call at a time."""

    def __init__(self, deleted: Callable[[Collection[int]], Awaitable[None]]) -> None:
        self._deleted = deleted
        self._waiting: dict[int, None] = {}  # a set that keeps its order
        self._checking: asyncio.Task[None] | None = None

    def add(self, message_ids: Collection[int]) -> None:
        self._waiting.update(dict.fromkeys(message_ids))
        if self._waiting and (self._checking is None or self._checking.done()):
            self._checking = asyncio.create_task(self._process_all(), name="deleted messages")

    async def close(self) -> None:
        """Stop. Unprocessed deletions are noticed after the next start, when the message cannot be edited."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    async def _process_all(self) -> None:
        while self._waiting:
            some = list(self._waiting)[:MESSAGE_BATCH_SIZE]
            for message_id in some:
                del self._waiting[message_id]
            try:
                await self._deleted(some)
            except Exception:
                logger.exception("deleted messages could not be processed")
