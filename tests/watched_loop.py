"""Measures how late an event loop runs what is due, and how often others have their turn in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

INTERVAL = 0.005


async def watch_the_loop(note: Callable[[float], None]) -> None:
    """Call `note`, every few milliseconds, with the seconds by which the loop was late."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(INTERVAL)
        note(time.perf_counter() - started - INTERVAL)


@asynccontextmanager
async def counted_turns() -> AsyncIterator[Callable[[], int]]:
    """Count how often another task has its turn meanwhile; yields what tells the number so far."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    try:
        yield lambda: turns
    finally:
        task.cancel()
