"""Background tasks are kept until they end, and none is left when the bot stops."""

from __future__ import annotations

import asyncio

from bot.ops.background import BackgroundTasks, cancel


async def forever() -> None:
    await asyncio.Event().wait()


async def test_tasks_that_end_are_waited_for_and_late_ones_are_cancelled() -> None:
    done: list[str] = []

    async def quick() -> None:
        done.append("quick")

    tasks = BackgroundTasks()
    tasks.start(quick(), name="quick")
    await tasks.finish()
    assert done == ["quick"] and len(tasks) == 0
    tasks.start(forever(), name="late")
    await tasks.finish(0.01)
    assert len(tasks) == 0


async def test_cancelling_waits_for_the_ends_and_passes_over_errors_and_none() -> None:
    ended = asyncio.Event()

    async def fails_when_cancelled() -> None:
        try:
            await forever()
        finally:
            ended.set()
            raise RuntimeError("while ending")

    running = asyncio.create_task(fails_when_cancelled())
    await asyncio.sleep(0)
    await cancel([None, running])
    assert ended.is_set() and running.done()
