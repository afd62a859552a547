"""Runs the bot and measures how late its event loop is.

When it is stopped, it writes the measurements as JSON to the file named by MEASURED.
"""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter

from bot.app import build_client, freeze_gc
from bot.jobs.worker import Worker
from bot.ops.endpoints import point_discord_at
from bot.ops.settings import Settings
from bot.prompting import TagIndex
from inference import GenerationRequest, NativeSettings, Picture
from inference.process import EngineProcess, load_engine
from storage.database import Database
from tests.fake_picture import drawn
from tests.watched_loop import watch_the_loop

NATIVE = NativeSettings(((1024, 1024),), 30, 4.0, "er_sde", "simple")


class InstantFakeEngine:
    """Returns at once an image of `side` x `side` that compresses like a drawing; its label is the time."""

    name = "instant"
    native = NATIVE
    full_pass = None

    def __init__(self, side: int) -> None:
        noise = Image.frombytes("RGB", (128, 128), random.Random(0).randbytes(3 * 128 * 128))
        self.image = noise.resize((side, side), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(3))

    def lora_names(self) -> list[str]:
        return []

    def turbo_lora(self) -> None:
        return None

    def loaded_models(self) -> tuple[str, ...]:
        return ()

    def generate(self, requests: Sequence[GenerationRequest], *_: Any, **__: Any) -> list[Picture]:
        return [drawn(request, self.name, self.image, {"decoded at": time.monotonic()}) for request in requests]


async def main() -> None:
    settings = Settings.read()
    point_discord_at(settings.discord_api_url, settings.discord_gateway_url)
    side = os.environ.get("INSTANT_ENGINE")
    miniature: Any = partial(load_engine, str(settings.models), "cpu", "auto", None)
    load = partial(InstantFakeEngine, int(side)) if side else miniature
    database = await Database.open(settings.database_url)
    client = build_client(settings, database, {"fake": EngineProcess(load)}, TagIndex.load())
    client._connection.guild_ready_timeout = 0.01
    freeze_gc()
    lags: list[float] = []
    decoded: dict[int, float] = {}
    keep = Worker._keep

    async def note(worker: Worker, job: Any, drawing: Any, pictures: Any) -> None:
        decoded[job.id] = pictures[0].labels.get("decoded at", 0.0)
        await keep(worker, job, drawing, pictures)

    Worker._keep = note  # type: ignore[method-assign]
    running = asyncio.create_task(client.start(os.environ["DISCORD_TOKEN"]))
    watching = asyncio.create_task(watch_the_loop(lags.append))
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lags.clear)
    await ending.wait()
    watching.cancel()
    Path(os.environ["MEASURED"]).write_text(json.dumps({"lags": lags, "decoded": decoded}), encoding="utf-8")
    with suppress(Exception):
        await client.close()
        await running
    await database.close()


if __name__ == "__main__":
    asyncio.run(main())
