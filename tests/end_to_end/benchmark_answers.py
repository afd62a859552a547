"""Measures how fast the bot answers and posts: `python -m tests.end_to_end.benchmark_answers`.

The real bot and its engine run as processes, connected to the fake Discord. Three figures: from a command's dispatch to
its acknowledgement when nothing else happens; the same while the miniature generates on every core; and from a decoded
image of 1024x1024 to its message, PNG encoding included. With each, how late the bot's event loop was meanwhile.

`--database` takes the address of a filled database, for example one that `python -m storage.benchmark --database` left.
"""

import argparse
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sandbox import Channel, FakeDiscord, Message, User
from bot.sandbox.model.interactions import Callback
from tests.end_to_end.bot_process import ROOT, settings_for

COMMANDS = 200
PICTURES = 40
#: So many that nobody reaches a limit of a new database: 50 credits a day, 8 queued jobs.
MEMBERS = 40
TIMEOUT = 120.0


@dataclass(frozen=True)
class AnswerTimes:
    """All in seconds."""

    durations: list[float]
    lags: list[float]


@asynccontextmanager
async def measured_bot(
    discord: FakeDiscord, folder: Path, database: str | None, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    measured = {**settings_for(discord, folder), "PYTHONPATH": str(ROOT), "MEASURED": str(folder / "measured.json")}
    if database:
        measured["DATABASE_URL"] = database
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.end_to_end.measured_bot"),
        cwd=folder,
        env={**os.environ, **measured, **environment},
    )
    try:
        await discord.wait_until_ready(TIMEOUT)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), TIMEOUT)


async def ask_one_by_one(discord: FakeDiscord, folder: Path, database: str | None) -> AnswerTimes:
    """Seconds to each acknowledgement when nothing else happens."""
    async with measured_bot(discord, folder, database, INSTANT_ENGINE="64") as process:
        members = add_members(discord)
        await drawn(discord, discord.world.alice, discord.world.general, "warm-up")
        process.send_signal(signal.SIGUSR1)
        latencies = []
        for number in range(COMMANDS):
            acknowledgement, _ = await drawn(
                discord, members[number % MEMBERS], discord.world.general, f"picture {number}"
            )
            latencies.append(acknowledgement.latency)
    return AnswerTimes(latencies, read_measured(folder)["lags"])


async def ask_while_generating(discord: FakeDiscord, folder: Path, database: str | None) -> AnswerTimes:
    """Seconds to each acknowledgement while the miniature generates on every core."""
    async with measured_bot(discord, folder, database) as process:
        members = add_members(discord)
        await discord.slash(discord.world.alice, discord.world.general, "anima imagine", prompt="1girl", count=4)
        await discord.wait_for_message(discord.world.general, lambda message: bool(message.shown), TIMEOUT)
        process.send_signal(signal.SIGUSR1)
        latencies = []
        for number in range(COMMANDS):
            sent = await discord.slash(
                members[number % MEMBERS], discord.world.general, "anima imagine", prompt=f"picture {number}"
            )
            latencies.append((await sent.acknowledged()).latency)
        await asyncio.sleep(1)
    return AnswerTimes(latencies, read_measured(folder)["lags"])


async def post_one_by_one(discord: FakeDiscord, folder: Path, database: str | None) -> AnswerTimes:
    """Seconds from each decoded image to its message."""
    posted: dict[int, float] = {}
    async with measured_bot(discord, folder, database, INSTANT_ENGINE="1024"):
        for number in range(PICTURES):
            _, message = await drawn(discord, discord.world.alice, discord.world.general, f"picture {number}")
            posted[job_of(message)] = time.monotonic()
    measured = read_measured(folder)
    decoded = {int(job): at for job, at in measured["decoded"].items()}  # also of jobs that a database came with
    return AnswerTimes([at - decoded[job] for job, at in posted.items()], measured["lags"])


def read_measured(folder: Path) -> Any:
    return json.loads((folder / "measured.json").read_text(encoding="utf-8"))


async def drawn(discord: FakeDiscord, user: User, channel: Channel, prompt: str) -> tuple[Callback, Message]:
    sent = await discord.slash(user, channel, "anima imagine", prompt=prompt)
    acknowledgement = await sent.acknowledged()

    def is_it(message: Message) -> bool:
        return (
            message.id == sent.interaction.original_id and bool(message.shown) and "anima-" in message.shown[0].filename
        )

    return acknowledgement, await discord.wait_for_message(channel, is_it, TIMEOUT)


def job_of(message: Message) -> int:
    return int(message.shown[0].filename.split("-")[1])


def summary(name: str, seconds: Sequence[float]) -> str:
    milliseconds = sorted(1000 * each for each in seconds)
    p50, p99 = statistics.median(milliseconds), milliseconds[int(0.99 * (len(milliseconds) - 1))]
    return f"{name:<42} median {p50:7.1f} ms   p99 {p99:7.1f} ms   worst {milliseconds[-1]:7.1f} ms   ({len(seconds)})"


def add_members(discord: FakeDiscord) -> list[User]:
    return [discord.world.add_user(f"member{number}", discord.world.guild) for number in range(MEMBERS)]


MEASUREMENTS = {
    "acknowledgement, nothing else": ask_one_by_one,
    "acknowledgement, while generating": ask_while_generating,
    "from decoded to posted": post_one_by_one,
}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="an address (default: a new SQLite file)")
    arguments = parser.parse_args()
    for name, measure in MEASUREMENTS.items():
        with tempfile.TemporaryDirectory() as folder:
            async with FakeDiscord() as discord:
                measured = await measure(discord, Path(folder), arguments.database)
        print(summary(name, measured.durations))
        print(summary("  event loop late meanwhile", measured.lags))


if __name__ == "__main__":
    asyncio.run(main())
