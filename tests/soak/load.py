"""Many people at once: `python -m tests.soak.load --jobs 10000 --users 500`.

A real bot in a process of its own, with a database file and an engine that only pretends to draw, against the stand-in
in this process. People ask at random moments, each now and then; one of them floods: has as many jobs in line as may
be, all the time. What is checked at the end, from the stand-in's messages, the database, and the exact order in which
jobs joined and left the queue:

- every accepted job has its picture in one message, and no picture is anywhere twice;
- while another waits, at most one batch of the flood's jobs is begun; for one who joins the line for the first time it
  is one job at most;
- the bot's memory is flat by thirds of the run, its event loop is on time, and it acknowledges in time.

The last three are figures with targets; the exit code is 1 if anything misses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bot.sandbox import FakeDiscord, InteractionHandle, User
from bot.sandbox.model.interactions import DiscordEvent
from storage.database import Database
from storage.schema import JobState
from tests.end_to_end.bot_process import ROOT, settings_for

TIMEOUT = 60.0
MAX_BATCH = 4
#: What a server lets one person have in line unless its admins say otherwise.
FLOOD_WAITING = 50
LOOK_AT_MEMORY_EVERY = 0.5

LATEST_LOOP = 0.020
LATEST_ACKNOWLEDGEMENT = 0.250
#: From the second third's median to the last one's.
MAX_GROWTH = 0.05


@dataclass(frozen=True)
class Plan:
    """`rate`: jobs a second of all people together but the flooder, whose `flood` jobs come as there is room."""

    jobs: int = 10_000
    users: int = 500
    flood: int = 4_000
    rate: float = 8.0
    seconds_a_batch: float = 0.3
    seed: int = 1


@dataclass
class Outcome:
    """What there is to judge by. `joined` and `taken` are of the queue, in its order; all times are in seconds."""

    plan: Plan
    flooder: int
    interactions: list[InteractionHandle] = field(default_factory=list)
    #: Of each delivered job, the message.
    delivered: Mapping[int, int] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    #: Of each job, all messages that ever showed its picture.
    pictures: Mapping[int, frozenset[int]] = field(default_factory=dict)
    happened: list[list[str]] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    own_lags: list[float] = field(default_factory=list)
    #: Bytes of the bot's process, at even distances in time.
    memory: list[int] = field(default_factory=list)
    seconds: float = 0.0
    #: Processor seconds of the bot's process.
    busy: float = 0.0

    def mistakes(self) -> Iterator[str]:
        """Every promise that was broken, whatever the machine's speed."""
        refused = [sent for sent in self.interactions if sent.interaction.callback is None]
        if refused:
            yield f"{len(refused)} commands were not acknowledged within three seconds"
        if len(self.delivered) != len(self.interactions):
            yield f"of {len(self.interactions)} jobs {len(self.delivered)} were delivered: {dict(self.states)}"
        for job_id, message_id in self.delivered.items():
            if self.pictures.get(job_id) != {message_id}:
                yield f"job {job_id} is in messages {set(self.pictures.get(job_id, ()))}, not in {message_id} alone"
        for job_id, of_the_flood, first_time in self.delays():
            if of_the_flood > (1 if first_time else MAX_BATCH):
                yield f"job {job_id} waited for {of_the_flood} jobs of the flood to begin"

    def delays(self) -> Iterator[tuple[int, int, bool]]:
        """For each job that was its user's only one: how many of the flood's were begun while it waited, and whether
        it was its user's first of all.
        """
        owner: dict[int, int] = {}
        in_line: Counter[int] = Counter()
        flood_begun, begun_when_joined = 0, {}
        seen: set[int] = set()
        alone: set[int] = set()
        first: set[int] = set()
        for what, *ids in self.happened:
            if what == "put":
                job_id, user_id = map(int, ids)
                owner[job_id] = user_id
                begun_when_joined[job_id] = flood_begun
                if in_line[user_id] == 0:
                    alone.add(job_id)
                if user_id not in seen:
                    first.add(job_id)
                seen.add(user_id)
                in_line[user_id] += 1
                continue
            for job_id in map(int, ids):
                in_line[owner[job_id]] -= 1
                if owner[job_id] == self.flooder:
                    flood_begun += 1
                elif job_id in alone:
                    yield job_id, flood_begun - begun_when_joined[job_id], job_id in first

    @property
    def latencies(self) -> list[float]:
        callbacks = [sent.interaction.callback for sent in self.interactions]
        return [callback.latency for callback in callbacks if callback is not None]

    def memory_by_thirds(self) -> list[float]:
        third = max(1, len(self.memory) // 3)
        return [statistics.median(self.memory[start : start + third]) for start in (0, third, 2 * third)]

    def figures(self) -> Iterator[tuple[str, bool]]:
        """What was measured, and whether it is as good as it is to be."""
        first, second, last = self.memory_by_thirds()
        mebi = [round(each / 2**20, 1) for each in (first, second, last)]
        yield f"memory by thirds: {mebi} MiB", last <= second * (1 + MAX_GROWTH)
        yield spread("event loop late", self.lags), p99(self.lags) <= LATEST_LOOP
        yield spread("acknowledgement", self.latencies), p99(self.latencies) <= LATEST_ACKNOWLEDGEMENT
        yield spread("stand-in's own loop late", self.own_lags), True
        delays = Counter(of_the_flood for _, of_the_flood, _ in self.delays())
        yield f"jobs of the flood begun while another waits: {dict(sorted(delays.items()))}", True
        busy = 1000 * self.busy / max(1, len(self.delivered))
        pace = len(self.delivered) / self.seconds
        yield f"{self.seconds:.0f} s, {pace:.1f} jobs a second; the bot was busy for {busy:.1f} ms a job", True


def p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.99 * (len(seconds) - 1))]


def spread(name: str, seconds: Sequence[float]) -> str:
    milliseconds = [1000 * each for each in seconds]
    return (
        f"{name}: median {statistics.median(milliseconds):.1f} ms, p99 {p99(milliseconds):.1f} ms, "
        f"worst {max(milliseconds):.1f} ms ({len(milliseconds)} times)"
    )


async def load(plan: Plan, folder: Path) -> Outcome:
    """Run the plan; the database and what the bot wrote down are in `folder`."""
    async with FakeDiscord() as discord:
        crowd = [discord.world.add_user(f"member{number}", discord.world.guild) for number in range(plan.users - 1)]
        flooder = discord.world.add_user("flooder", discord.world.guild)
        outcome = Outcome(plan, flooder.id)
        pictures = _Pictures(discord)
        async with _watched_bot(discord, folder, plan) as process:
            started = time.perf_counter()
            watching = [
                asyncio.create_task(_watch_memory(process, outcome.memory)),
                asyncio.create_task(_watch_own_loop(outcome.own_lags)),
            ]
            await asyncio.gather(
                _ask_now_and_then(discord, crowd, plan, outcome.interactions),
                _flood(discord, flooder, plan, outcome.interactions, pictures),
            )
            await pictures.until(len(outcome.interactions), process)
            outcome.seconds = time.perf_counter() - started
            for task in watching:
                task.cancel()
            times = process.cpu_times()
            outcome.busy = times.user + times.system
            await asyncio.sleep(1)  # what comes late would be one too many
    outcome.pictures = {job_id: frozenset(messages) for job_id, messages in pictures.messages_of.items()}
    outcome.lags = json.loads((folder / "measured.json").read_text())["lags"]
    outcome.happened = [line.split() for line in (folder / "happened").read_text().splitlines()]
    await _read_database(folder, outcome)
    return outcome


@asynccontextmanager
async def _watched_bot(discord: FakeDiscord, folder: Path, plan: Plan) -> AsyncIterator[psutil.Process]:
    environment = {
        **os.environ,
        **settings_for(discord, folder),
        "PYTHONPATH": str(ROOT),
        "ANIMA_LARGEST_BATCH": str(MAX_BATCH),
        "SECONDS_A_BATCH": str(plan.seconds_a_batch),
        "HAPPENED": str(folder / "happened"),
        "MEASURED": str(folder / "measured.json"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.soak.watched_bot", cwd=folder, env=environment
    )
    try:
        await discord.wait_until_ready(TIMEOUT)
        yield psutil.Process(process.pid)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), TIMEOUT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ask(discord: FakeDiscord, user: User, number: int) -> InteractionHandle:
    return await discord.slash(user, discord.world.general, "anima imagine", prompt=f"1girl, smile, {number} flowers")


async def _ask_now_and_then(
    discord: FakeDiscord, crowd: Sequence[User], plan: Plan, interactions: list[InteractionHandle]
) -> None:
    chance = random.Random(plan.seed)
    due = time.perf_counter()
    for number in range(plan.jobs - plan.flood):
        due += chance.expovariate(plan.rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        user = crowd[number] if number < len(crowd) else chance.choice(crowd)
        interactions.append(await _ask(discord, user, number))


async def _flood(
    discord: FakeDiscord, flooder: User, plan: Plan, interactions: list[InteractionHandle], pictures: _Pictures
) -> None:
    own: list[InteractionHandle] = []
    for number in range(plan.flood):
        while sum(not each.interaction.failed_at for each in own) - pictures.count_for(own) >= FLOOD_WAITING:
            await asyncio.sleep(0.02)
        own.append(await _ask(discord, flooder, plan.jobs + number))
        interactions.append(own[-1])
        await own[-1].failed()  # or acknowledged: no more than one command at a time


class _Pictures:
    """Which messages ever showed the picture of which job."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.messages_of: defaultdict[int, set[int]] = defaultdict(set)
        self._drawn_messages: set[int] = set()
        discord.events.listen(self._look)

    def _look(self, event: DiscordEvent) -> None:
        message = event.message
        if message is None or event.kind not in ("message_create", "message_update"):
            return
        for shown in message.shown:
            if (name := re.fullmatch(r"anima-([0-9]+)-[0-9]+\.png", shown.filename)) is not None:
                self.messages_of[int(name[1])].add(message.id)
                self._drawn_messages.add(message.id)

    def count_for(self, sent: Sequence[InteractionHandle]) -> int:
        return sum(each.interaction.original_id in self._drawn_messages for each in sent)

    async def until(self, count: int, bot: psutil.Process) -> None:
        """Returns when so many jobs have their picture, or when nothing new comes any more."""
        known, since = len(self.messages_of), time.monotonic()
        while len(self.messages_of) < count and time.monotonic() - since < TIMEOUT:
            if bot.status() == psutil.STATUS_ZOMBIE:
                raise SystemExit("The bot has ended by itself.")
            await asyncio.sleep(0.05)
            if len(self.messages_of) > known:
                known, since = len(self.messages_of), time.monotonic()


async def _watch_memory(process: psutil.Process, memory: list[int]) -> None:
    while True:
        memory.append(process.memory_info().rss)
        await asyncio.sleep(LOOK_AT_MEMORY_EVERY)


async def _watch_own_loop(lags: list[float]) -> None:
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(0.02)
        lags.append(time.perf_counter() - asked - 0.02)


async def _read_database(folder: Path, outcome: Outcome) -> None:
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    found = [await database.jobs.by_interaction(sent.id) for sent in outcome.interactions]
    await database.close()
    jobs = [job for job in found if job is not None]
    outcome.states = Counter(job.state for job in jobs)
    outcome.delivered = {job.id: job.message_id or 0 for job in jobs if job.state is JobState.DELIVERED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(Plan()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    plan = Plan(**vars(parser.parse_args()))
    print(f"{plan}; load average {' '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(load(plan, Path(folder)))
    mistakes = list(outcome.mistakes())
    figures = list(outcome.figures())
    for sentence, good in figures:
        print(f"  {'ok  ' if good else 'MISS'} {sentence}")
    print(f"load average at the end {' '.join(f'{each:.1f}' for each in os.getloadavg())}")
    print("\n".join(mistakes[:20]) or f"All {len(outcome.interactions)} jobs were delivered once.")
    sys.exit(bool(mistakes) or not all(good for _, good in figures))


if __name__ == "__main__":
    main()
