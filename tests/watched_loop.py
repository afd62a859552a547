"""Measures how late an event loop runs what is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

INTERVAL = 0.005


async def watch_the_loop(note: Callable[[float], None]) -> None:
    """Call `note`, every few milliseconds, with the seconds by which the loop was late."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(INTERVAL)
        note(time.perf_counter() - started - INTERVAL)
