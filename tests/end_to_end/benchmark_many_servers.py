"""Measures the bot in very many servers: `python -m tests.end_to_end.benchmark_many_servers`.

The real bot runs as a process with a fake engine, connected to the fake Discord by as many shards as that asks for, and
under its rate limits. Measured: its memory, how long one image takes while nothing else is going on, and how late
images are while jobs come from random servers. One server in ten draws in an age-restricted channel, so that the bot
has to ask Discord before it posts there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bot.sandbox import FakeDiscord, Guild, InteractionHandle, Sharding, User
from bot.sandbox.model.interactions import DiscordEvent
from storage.database import Database
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, bot_process

#: Bytes and seconds: what is asked for.
MEMORY, ALONE, LATE = 300 * 2**20, 0.5, 3.0
#: Images that are drawn alone.
IMAGES_ALONE = 20
#: Members in whose name jobs are sent, so that nobody's quota is used up.
MEMBERS = 2_000
#: Seconds that shards and the last images are waited for.
TIMEOUT = 900.0


@dataclass
class ManyServersFigures:
    """Times in seconds. `late`: from when an image was drawn until it was posted."""

    shards_after: float = 0.0
    memory: int = 0
    alone: list[float] = field(default_factory=list)
    sent: int = 0
    #: Commands answered that the database takes too long, and accepted ones whose image was never posted.
    put_off: int = 0
    missing: int = 0
    late: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0
    memory_at_the_end: int = 0
    processor: float = 0.0


class _Posted:
    """When each message first showed a finished image, in seconds since 1970."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.at: dict[int, float] = {}
        self._news = asyncio.Event()
        discord.events.listen(self._look)

    def _look(self, event: DiscordEvent) -> None:
        message = event.message
        if message is None or message.id in self.at:
            return
        if any(file.filename.startswith(("anima-", "SPOILER_anima-")) for file in message.shown):
            self.at[message.id] = event.at
            self._news.set()

    async def all_of(self, sent: Sequence[InteractionHandle]) -> None:
        """Returns once all of them are posted, or none was for a minute."""
        while any(each.interaction.original_id not in self.at for each in _accepted(sent)):
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), 60)
            except TimeoutError:
                return


async def measure(
    servers: int, shards: int, concurrency: int, rate: float, seconds: float, folder: Path
) -> ManyServersFigures:
    figures = ManyServersFigures()
    sharding = Sharding(shards=shards, max_concurrency=concurrency, servers_per_shard=2_500, identify_interval=5.0)
    async with FakeDiscord(sharding=sharding) as discord:
        guilds = discord.world.add_servers(servers)
        for guild in guilds[::10]:
            guild.channels[0].nsfw = True
        posted = _Posted(discord)
        begun = time.perf_counter()
        environment = {"LOG_LEVEL": "WARNING", "ANIMA_LARGEST_BATCH": "8", "PICTURE_SECONDS": "0.02"}
        async with bot_process(discord, folder, FAKE_ENGINE_BOT, **environment) as process:
            async with asyncio.timeout(TIMEOUT):
                while len(discord.gateway.shards) < shards:
                    await asyncio.sleep(0.1)
            figures.shards_after = time.perf_counter() - begun
            await asyncio.sleep(3)  # what comes with the connections is read
            bot = psutil.Process(process.pid)
            await _draw_alone(discord, random.Random(1), guilds, posted, figures)
            figures.memory = bot.memory_info().rss
            sent = await _load(discord, guilds, rate, seconds, posted, bot, figures)
            await _stop(process)
        figures.refused = len(discord.request_log.find(status=429))
    accepted = _accepted(sent)
    figures.put_off = len(sent) - len(accepted)
    figures.missing = sum(each.interaction.original_id not in posted.at for each in accepted)
    figures.acknowledged = [each.interaction.callback.latency for each in sent if each.interaction.callback is not None]
    figures.late = await _lateness(folder, accepted, posted)
    return figures


def _accepted(sent: Sequence[InteractionHandle]) -> list[InteractionHandle]:
    """What was acknowledged with a message to wait in."""
    callbacks = [(each, each.interaction.callback) for each in sent]
    return [each for each, callback in callbacks if callback is not None and callback.is_deferral]


async def _draw_alone(
    discord: FakeDiscord, rng: random.Random, guilds: Sequence[Guild], posted: _Posted, figures: ManyServersFigures
) -> None:
    for number in range(IMAGES_ALONE + 1):
        guild, begun = rng.choice(guilds), discord.clock.now()
        sent = await discord.slash(discord.world.owner, guild.channels[0], "anima imagine", prompt="1girl")
        await sent.acknowledged()
        await posted.all_of([sent])
        assert sent.interaction.original_id is not None
        if number:  # before the first the engine starts
            figures.alone.append(posted.at[sent.interaction.original_id] - begun)


async def _load(
    discord: FakeDiscord,
    guilds: Sequence[Guild],
    rate: float,
    seconds: float,
    posted: _Posted,
    bot: psutil.Process,
    figures: ManyServersFigures,
) -> list[InteractionHandle]:
    rng = random.Random(2)
    members: list[tuple[User, Guild]] = []
    for number in range(MEMBERS):
        guild = rng.choice(guilds)
        members.append((discord.world.add_user(f"member{number}", guild), guild))
    sent: list[InteractionHandle] = []
    before, begun = sum(bot.cpu_times()[:2]), time.perf_counter()
    due = begun
    while due - begun < seconds:
        due += rng.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        user, guild = rng.choice(members)
        prompt = f"1girl, {len(sent)} flowers"
        sent.append(await discord.slash(user, guild.channels[0], "anima imagine", prompt=prompt))
    await posted.all_of(sent)
    figures.sent, figures.seconds = len(sent), time.perf_counter() - begun
    figures.processor = sum(bot.cpu_times()[:2]) - before
    figures.memory_at_the_end = bot.memory_info().rss
    return sent


async def _stop(process: Process) -> None:
    await asyncio.sleep(1)  # until the bot has written down that the last image was accepted
    process.terminate()
    await asyncio.wait_for(process.wait(), TIMEOUT)


async def _lateness(folder: Path, sent: Sequence[InteractionHandle], posted: _Posted) -> list[float]:
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        jobs = [(each, await database.jobs.by_interaction(each.id)) for each in sent]
    finally:
        await database.close()
    return [
        posted.at[each.interaction.original_id] - job.rendered_at.timestamp()
        for each, job in jobs
        if job is not None and job.rendered_at is not None and each.interaction.original_id in posted.at
    ]


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    return f"median {statistics.median(ordered):.2f} s, 99 % within {p99:.2f} s, worst {ordered[-1]:.2f} s"


def _verdict(is_kept: bool) -> str:
    return "kept" if is_kept else "BROKEN"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=16, help="shards that may identify at once")
    parser.add_argument("--rate", type=float, default=20.0, help="jobs a second")
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            measure(options.servers, options.shards, options.concurrency, options.rate, options.seconds, Path(folder))
        )
    mebi = 2**20
    print(f"{options.servers} servers, {options.shards} shards, connected after {found.shards_after:.0f} s")
    kept = _verdict(max(found.memory, found.memory_at_the_end) <= MEMORY)
    print(f"memory: {found.memory / mebi:.0f} MiB, at the end {found.memory_at_the_end / mebi:.0f} MiB: {kept}")
    print(f"alone, from Enter to posted: {_spread(found.alone)}: {_verdict(max(found.alone) <= ALONE)}")
    print(f"{found.sent} commands in {found.seconds:.0f} s, {found.put_off} answered that the database takes too long")
    print(f"{found.missing} accepted jobs without an image, {found.refused} times 429")
    print(f"acknowledged after: {_spread(found.acknowledged)}")
    is_kept = not found.missing and max(found.late) <= LATE
    print(f"posted after it was drawn: {_spread(found.late)}: {_verdict(is_kept)}")
    print(f"the bot's processor: {1000 * found.processor / max(1, found.sent):.1f} ms a job")
    print("load average: {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()))


if __name__ == "__main__":
    main()
