"""Tasks that run in the background until the bot stops."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


class BackgroundTasks:
    """Keeps references to tasks until they end; the event loop has only weak ones."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self, timeout: float | None = None) -> None:
        """Wait until all have ended; those that take longer than `timeout` seconds are cancelled."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout)
            await cancel(late)

    async def cancel(self) -> None:
        await cancel(self._running)


async def cancel(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks and wait until they have ended, whatever they raise. Skips None."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
