"""Runs the bot with a fast fake engine, and records its queue and event loop.

Every job that enters or leaves the queue is a line in the file named by QUEUE_LOG, in exact order. When the process is
stopped, it writes how late the event loop was, every 5 ms, as JSON to the file named by MEASURED.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from bot.app import build_client, freeze_gc
from bot.jobs.queue import Consumer, FairQueue, QueuedJob
from bot.ops.endpoints import point_discord_at
from bot.ops.settings import Settings
from bot.prompting import TagIndex
from inference import GenerationRequest, NativeSettings, Picture
from inference.process import EngineProcess
from storage.database import Database
from tests.end_to_end.patient_bot import be_patient
from tests.fake_picture import drawn
from tests.watched_loop import watch_the_loop

NATIVE = NativeSettings(((64, 64),), 4, 4.0, "er_sde", "simple")


class BatchFakeEngine:
    """Generates plain images of 64x64, each batch in the same time."""

    name = "batch"
    native = NATIVE
    full_pass = None

    def __init__(self, seconds_per_batch: float) -> None:
        self._seconds_per_batch = seconds_per_batch

    def lora_names(self) -> list[str]:
        return []

    def turbo_lora(self) -> None:
        return None

    def loaded_models(self) -> tuple[str, ...]:
        return ()

    def generate(self, requests: Sequence[GenerationRequest], *_: Any, **__: Any) -> list[Picture]:
        time.sleep(self._seconds_per_batch)
        return [drawn(request, self.name) for request in requests]


def log_queue(queue: FairQueue, log: TextIO) -> None:
    """Log `put JOB USER` for a queued job, and `take JOB JOB …` for a batch."""
    put, take, take_now = queue.put, queue.take, queue.take_now

    def logged_put(waiting: QueuedJob) -> None:
        put(waiting)
        print("put", waiting.job_id, waiting.user_id, file=log)

    def log_batch(batch: tuple[QueuedJob, ...]) -> None:
        print("take", *(waiting.job_id for waiting in batch), file=log)

    async def logged_take(consumer: Consumer) -> tuple[QueuedJob, ...]:
        batch = await take(consumer)
        log_batch(batch)
        return batch

    def logged_take_now(consumer: Consumer) -> tuple[QueuedJob, ...]:
        if batch := take_now(consumer):
            log_batch(batch)
        return batch

    queue.put, queue.take, queue.take_now = logged_put, logged_take, logged_take_now  # type: ignore[method-assign]


async def main() -> None:
    settings = Settings.read()
    point_discord_at(settings.discord_api_url, settings.discord_gateway_url)
    load: Any = partial(BatchFakeEngine, float(os.environ["SECONDS_PER_BATCH"]))
    database = await Database.open(settings.database_url)
    client = build_client(settings, database, {"fake": EngineProcess(load)}, TagIndex.load())
    client._connection.guild_ready_timeout = 0.01
    freeze_gc()
    lags = array("d")
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    with Path(os.environ["QUEUE_LOG"]).open("w", encoding="utf-8") as log:
        log_queue(client.queue, log)
        running = asyncio.create_task(client.start(os.environ["DISCORD_TOKEN"]))
        watching = asyncio.create_task(watch_the_loop(lags.append))
        stopped = asyncio.create_task(ending.wait())
        await asyncio.wait({stopped, running}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        await client.close()
        await running
        if client.failure is not None:
            raise client.failure
    Path(os.environ["MEASURED"]).write_text(json.dumps({"lags": lags.tolist()}), encoding="utf-8")
    await database.close()


if __name__ == "__main__":
    be_patient()
    asyncio.run(main())
