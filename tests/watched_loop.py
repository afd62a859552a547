"""How late an event loop comes back to what it has to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_EVERY = 0.005


async def watch_the_loop(note: Callable[[float], None]) -> None:
    """Note how many seconds later than asked for the loop comes back, again and again."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(LOOK_EVERY)
        note(time.perf_counter() - asked - LOOK_EVERY)
