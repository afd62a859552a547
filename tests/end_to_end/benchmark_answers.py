"""Measures how fast the bot answers and posts while it generates: `python -m tests.end_to_end.benchmark_answers`.

The real bot and its engine run as processes, connected to the fake Discord. Three figures: from a command's dispatch to
its acknowledgement, for 200 commands in a row while images are generated; from a decoded image of 1024x1024 to its
message, PNG encoding included; and how late the bot's event loop was meanwhile.
"""

import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.sandbox import Channel, FakeDiscord, Message, User
from tests.end_to_end.bot_process import ROOT, settings_for

COMMANDS = 200
PICTURES = 40
TIMEOUT = 120.0


@asynccontextmanager
async def measured_bot(
    discord: FakeDiscord, folder: Path, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    measured = {**settings_for(discord, folder), "PYTHONPATH": str(ROOT), "MEASURED": str(folder / "measured.json")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.end_to_end.measured_bot"),
        cwd=folder,
        env={**os.environ, **measured, **environment},
    )
    await discord.wait_until_ready(TIMEOUT)
    yield process
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.wait(), TIMEOUT)


async def ask_for_many(discord: FakeDiscord, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds to each acknowledgement, and of the event loop's lateness, while the miniature generates all the time."""
    async with measured_bot(discord, folder, OMP_NUM_THREADS="1") as process:
        members = [discord.world.add_user(f"member{number}", discord.world.guild) for number in range(20)]
        first = await discord.slash(
            discord.world.alice, discord.world.general, "anima imagine", prompt="1girl", count=4
        )
        await first.acknowledged()
        await discord.wait_for_message(discord.world.general, lambda message: bool(message.shown), TIMEOUT)
        process.send_signal(signal.SIGUSR1)
        latencies = []
        for number in range(COMMANDS):
            sent = await discord.slash(
                members[number % len(members)], discord.world.general, "anima imagine", prompt=f"picture {number}"
            )
            latencies.append((await sent.acknowledged()).latency)
        await asyncio.sleep(1)
    return latencies, json.loads((folder / "measured.json").read_text())["lags"]


async def draw_one_by_one(discord: FakeDiscord, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds from each decoded image to its message, and of the event loop's lateness."""
    posted: dict[int, float] = {}
    async with measured_bot(discord, folder, INSTANT_ENGINE="1"):
        for number in range(PICTURES):
            message = await drawn(discord, discord.world.alice, discord.world.general, number)
            posted[job_of(message)] = time.monotonic()
    measured: dict[str, Any] = json.loads((folder / "measured.json").read_text())
    return [posted[int(job)] - decoded for job, decoded in measured["decoded"].items()], measured["lags"]


async def drawn(discord: FakeDiscord, user: User, channel: Channel, number: int) -> Message:
    sent = await discord.slash(user, channel, "anima imagine", prompt=f"picture {number}")
    await sent.acknowledged()

    def is_it(message: Message) -> bool:
        return (
            message.id == sent.interaction.original_id and bool(message.shown) and "anima-" in message.shown[0].filename
        )

    return await discord.wait_for_message(channel, is_it, TIMEOUT)


def job_of(message: Message) -> int:
    return int(message.shown[0].filename.split("-")[1])


def summary(name: str, seconds: Sequence[float]) -> str:
    milliseconds = sorted(1000 * each for each in seconds)
    p50, p99 = statistics.median(milliseconds), milliseconds[int(0.99 * (len(milliseconds) - 1))]
    return f"{name:<42} median {p50:7.1f} ms   p99 {p99:7.1f} ms   worst {milliseconds[-1]:7.1f} ms   ({len(seconds)})"


async def main() -> None:
    for measure, name in ((ask_for_many, "acknowledgement"), (draw_one_by_one, "from decoded to posted")):
        with tempfile.TemporaryDirectory() as folder:
            async with FakeDiscord() as discord:
                seconds, lags = await measure(discord, Path(folder))
        print(summary(name, seconds))
        print(summary("  event loop late meanwhile", lags))


if __name__ == "__main__":
    asyncio.run(main())
