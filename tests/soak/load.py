"""Load test with many users: `python -m tests.soak.load --jobs 10000 --users 500`.

The real bot runs as a process, with a database file and a fake engine, connected to the fake Discord in this process.
Users send commands at random times, and some use images of others: they upscale, redraw, extend, share and describe
them (`followups`). One user floods the queue: they always have as many queued jobs as allowed. At the end, the
messages, the database, and the exact order in which jobs entered and left the queue must show that:

- every accepted job has its image in one message, and no image is posted twice, also not in the gallery;
- the charges are what the delivered jobs and the descriptions cost;
- while another user's job waits, at most one batch of the flood is started; for a user's first job, at most one job;
- the bot's memory stays flat over the thirds of the run, its event loop is on time, and it acknowledges in time.

The last three are figures with targets; the exit code is 1 if any check fails.
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
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bot.rules.server_settings import MAX_TIMES_NATIVE
from bot.sandbox import FakeDiscord, InteractionHandle, Message, User
from bot.sandbox.model import interactions
from bot.sandbox.model.interactions import DiscordEvent
from storage.database import Database
from storage.schema import JobState
from tests.end_to_end.bot_process import ROOT, TIMEOUT, settings_for
from tests.miniature_tagger import write_tagger
from tests.soak.followups import DRAWING, FollowUps, is_small_for, wrong_charges

MAX_BATCH = 4
#: Queued jobs that the server allows each user.
FLOOD_WAITING = 50
#: What the server's admin has set, so that none of the experiment's requests is refused.
SERVER_SETTINGS = {
    "quota": {"credits": None},
    "limits": {"waiting": FLOOD_WAITING, "upscaled_times_native": MAX_TIMES_NATIVE},
}
#: Users who ask for something under images. What they have drawn costs more, so later jobs of theirs may wait longer
#: than those of others.
PRESSING_USERS = 20
#: Newest images that something is asked for under.
RECENT = 100
MEMORY_INTERVAL = 0.5

MAX_LOOP_LAG = 0.020
MAX_ACKNOWLEDGEMENT_TIME = 0.250
#: From the median of the second third to that of the last.
MAX_GROWTH = 0.05


@dataclass(frozen=True)
class Plan:
    """`rate`: jobs per second of all users except the flooder, who sends `flood` jobs whenever the limit allows.

    pressed: how many requests of the others are about images that are there, most of them jobs.
    """

    jobs: int = 10_000
    users: int = 500
    flood: int = 4_000
    pressed: int = 500
    rate: float = 8.0
    seconds_per_batch: float = 0.3
    seed: int = 1


@dataclass
class Outcome:
    """What was recorded. All times are in seconds."""

    plan: Plan
    flooder: int
    pressing: frozenset[int] = frozenset()
    interactions: list[InteractionHandle] = field(default_factory=list)
    #: The message of each delivered job.
    delivered: Mapping[int, int] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    #: All messages that ever showed the image of a job.
    pictures: Mapping[int, frozenset[int]] = field(default_factory=dict)
    #: What was shared and described, in a sentence; and what is wrong with it, or with what was charged.
    follow_ups: str = ""
    wrong: list[str] = field(default_factory=list)
    #: The words of each line of the queue's log (see `watched_bot`).
    queue_log: list[list[str]] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    own_lags: list[float] = field(default_factory=list)
    #: Bytes used by the bot's process, at regular intervals.
    memory: list[int] = field(default_factory=list)
    seconds: float = 0.0
    #: Processor seconds of the bot's process.
    busy: float = 0.0

    @property
    def accepted(self) -> Sequence[InteractionHandle]:
        """What was acknowledged. The others were told at once to try again, as the database took too long."""
        return [sent for sent in self.interactions if _is_accepted(sent)]

    def mistakes(self) -> Iterator[str]:
        """What is wrong, whatever the machine's speed."""
        unanswered = [sent for sent in self.interactions if sent.interaction.callback is None]
        if unanswered:
            yield f"{len(unanswered)} commands were not answered within {interactions.DEADLINE:g} seconds"
        if len(self.delivered) != len(self.accepted):
            yield f"of {len(self.accepted)} jobs {len(self.delivered)} were delivered: {dict(self.states)}"
        yield from self.wrong
        for job_id, message_id in self.delivered.items():
            if self.pictures.get(job_id) != {message_id}:
                yield f"job {job_id} is in messages {set(self.pictures.get(job_id, ()))}, not in {message_id} alone"
        for job_id, flood_jobs, first_time in self.delays():
            if flood_jobs > (1 if first_time else MAX_BATCH):
                yield f"job {job_id} waited for {flood_jobs} jobs of the flood to begin"

    def delays(self) -> Iterator[tuple[int, int, bool]]:
        """For each job that was the only queued one of its user: the job, how many jobs of the flood started while it
        waited, and whether it was the user's first.
        """
        owner: dict[int, int] = {}
        queued: Counter[int] = Counter()
        flood_started, started_when_queued = 0, {}
        seen: set[int] = set()
        alone: set[int] = set()
        first: set[int] = set()
        for what, *ids in self.queue_log:
            if what == "put":
                job_id, user_id = map(int, ids)
                owner[job_id] = user_id
                started_when_queued[job_id] = flood_started
                if queued[user_id] == 0:
                    alone.add(job_id)
                if user_id not in seen:
                    first.add(job_id)
                seen.add(user_id)
                queued[user_id] += 1
                continue
            for job_id in map(int, ids):
                queued[owner[job_id]] -= 1
                if owner[job_id] == self.flooder:
                    flood_started += 1
                elif job_id in alone and owner[job_id] not in self.pressing:
                    yield job_id, flood_started - started_when_queued[job_id], job_id in first

    @property
    def latencies(self) -> list[float]:
        callbacks = [sent.interaction.callback for sent in self.interactions]
        return [callback.latency for callback in callbacks if callback is not None]

    def memory_by_thirds(self) -> list[float]:
        third = max(1, len(self.memory) // 3)
        return [statistics.median(self.memory[start : start + third]) for start in (0, third, 2 * third)]

    def figures(self) -> Iterator[tuple[str, bool]]:
        """What was measured, and whether it meets its target."""
        first, second, last = self.memory_by_thirds()
        mebi = [round(each / 2**20, 1) for each in (first, second, last)]
        yield f"memory by thirds: {mebi} MiB", last <= second * (1 + MAX_GROWTH)
        yield spread("event loop late", self.lags), p99(self.lags) <= MAX_LOOP_LAG
        yield spread("acknowledgement", self.latencies), p99(self.latencies) <= MAX_ACKNOWLEDGEMENT_TIME
        yield spread("fake Discord's own loop late", self.own_lags), True
        refused = len(self.interactions) - len(self.accepted)
        yield f"commands answered that the database takes too long: {refused}", refused == 0
        yield self.follow_ups, True
        delays = Counter(flood_jobs for _, flood_jobs, _ in self.delays())
        yield f"jobs of the flood started while another waits: {dict(sorted(delays.items()))}", True
        busy = 1000 * self.busy / max(1, len(self.delivered))
        throughput = len(self.delivered) / self.seconds
        yield f"{self.seconds:.0f} s, {throughput:.1f} jobs a second; the bot was busy for {busy:.1f} ms a job", True


def _is_accepted(sent: InteractionHandle) -> bool:
    return sent.interaction.callback is not None and sent.interaction.callback.is_deferral


def p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.99 * (len(seconds) - 1))]


def spread(name: str, seconds: Sequence[float]) -> str:
    milliseconds = [1000 * each for each in seconds]
    return (
        f"{name}: median {statistics.median(milliseconds):.1f} ms, p99 {p99(milliseconds):.1f} ms, "
        f"worst {max(milliseconds):.1f} ms ({len(milliseconds)} times)"
    )


async def load(plan: Plan, folder: Path) -> Outcome:
    """Run the plan, with the database and the bot's records in `folder`."""
    async with FakeDiscord() as discord:
        crowd = [discord.world.add_user(f"member{number}", discord.world.guild) for number in range(plan.users - 1)]
        flooder = discord.world.add_user("flooder", discord.world.guild)
        pressing = [discord.world.add_user(f"presser{number}", discord.world.guild) for number in range(PRESSING_USERS)]
        outcome = Outcome(plan, flooder.id, frozenset(user.id for user in pressing))
        pictures = _Pictures(discord)
        follow_ups = FollowUps(discord, discord.world.gallery, discord.world.bob, random.Random(plan.seed + 1))
        async with _watched_bot(discord, folder, plan) as process:
            started = time.perf_counter()
            watching = [
                asyncio.create_task(_watch_memory(process, outcome.memory)),
                asyncio.create_task(_watch_own_loop(outcome.own_lags)),
            ]
            await asyncio.gather(
                _send_randomly(discord, crowd, plan, outcome.interactions),
                _press_buttons(follow_ups, pressing, plan, outcome.interactions, pictures),
                _flood(discord, flooder, plan, outcome.interactions, pictures),
            )
            await pictures.until(len(outcome.accepted), process)
            async with asyncio.timeout(TIMEOUT):
                while not follow_ups.are_answered():
                    await asyncio.sleep(0.05)
            outcome.seconds = time.perf_counter() - started
            for task in watching:
                task.cancel()
            times = process.cpu_times()
            outcome.busy = times.user + times.system
            await asyncio.sleep(1)  # for duplicates that arrive late
        outcome.follow_ups = follow_ups.counts()
        outcome.wrong = [*follow_ups.mistakes(folder / "anima.db"), *wrong_charges(folder / "anima.db")]
    outcome.pictures = {job_id: frozenset(messages) for job_id, messages in pictures.messages_of.items()}
    outcome.lags = json.loads((folder / "measured.json").read_text())["lags"]
    outcome.queue_log = [line.split() for line in (folder / "queue.log").read_text().splitlines()]
    await _read_database(folder, outcome)
    return outcome


@asynccontextmanager
async def _watched_bot(discord: FakeDiscord, folder: Path, plan: Plan) -> AsyncIterator[psutil.Process]:
    async with _database_in(folder) as database:
        settings = {**SERVER_SETTINGS, "gallery_channel_id": discord.world.gallery.id}
        await database.servers.change(discord.world.guild.id, settings, by=discord.world.emi.id)
    environment = {
        **os.environ,
        **settings_for(discord, folder),
        "PYTHONPATH": str(ROOT),
        "ANIMA_TAGGER": str(write_tagger(folder / "tagger")),
        "ANIMA_LARGEST_BATCH": str(MAX_BATCH),
        "SECONDS_PER_BATCH": str(plan.seconds_per_batch),
        "QUEUE_LOG": str(folder / "queue.log"),
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


async def _send_randomly(
    discord: FakeDiscord, crowd: Sequence[User], plan: Plan, interactions: list[InteractionHandle]
) -> None:
    rng = random.Random(plan.seed)
    due = time.perf_counter()
    for number in range(plan.jobs - plan.flood - plan.pressed):
        due += rng.expovariate(plan.rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        user = crowd[number] if number < len(crowd) else rng.choice(crowd)
        interactions.append(await _ask(discord, user, number))


async def _press_buttons(
    follow_ups: FollowUps, users: Sequence[User], plan: Plan, interactions: list[InteractionHandle], pictures: _Pictures
) -> None:
    """As many requests as planned, spread over the time that the commands take."""
    rng = follow_ups.rng
    pause = (plan.jobs - plan.flood) / plan.rate / max(1, plan.pressed)
    for number in range(plan.pressed):
        await asyncio.sleep(rng.expovariate(1 / pause))
        action = follow_ups.choose()
        while not (messages := [each for each in pictures.recent if is_small_for(action, each)]):
            await asyncio.sleep(0.1)
        sent = await follow_ups.ask(action, users[number % len(users)], rng.choice(messages))
        if action in DRAWING:
            interactions.append(sent)


async def _flood(
    discord: FakeDiscord, flooder: User, plan: Plan, interactions: list[InteractionHandle], pictures: _Pictures
) -> None:
    own: list[InteractionHandle] = []
    for number in range(plan.flood):
        while sum(map(_is_accepted, own)) - pictures.count_for(own) >= FLOOD_WAITING:
            await asyncio.sleep(0.02)
        own.append(await _ask(discord, flooder, plan.jobs + number))
        interactions.append(own[-1])
        await own[-1].failed()  # or acknowledged: no more than one command at a time


class _Pictures:
    """The messages that ever showed the image of each job, but for the gallery's."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.messages_of: defaultdict[int, set[int]] = defaultdict(set)
        self._gallery = discord.world.gallery
        self.recent: deque[Message] = deque(maxlen=RECENT)
        self._drawn_messages: set[int] = set()
        discord.events.listen(self._look)

    def _look(self, event: DiscordEvent) -> None:
        message = event.message
        if message is None or event.kind not in ("message_create", "message_update"):
            return
        if message.channel == self._gallery:
            return
        for shown in message.shown:
            if (name := re.fullmatch(r"anima-([0-9]+)-[0-9]+\.png", shown.filename)) is not None:
                self.messages_of[int(name[1])].add(message.id)
                self._drawn_messages.add(message.id)
                self.recent.append(message)

    def count_for(self, sent: Sequence[InteractionHandle]) -> int:
        return sum(each.interaction.original_id in self._drawn_messages for each in sent)

    async def until(self, count: int, bot: psutil.Process) -> None:
        """Return when `count` jobs have their image, or when there was no new one for TIMEOUT seconds."""
        known, since = len(self.messages_of), time.monotonic()
        while len(self.messages_of) < count and time.monotonic() - since < TIMEOUT:
            if bot.status() == psutil.STATUS_ZOMBIE:
                raise SystemExit("The bot has stopped unexpectedly.")
            await asyncio.sleep(0.05)
            if len(self.messages_of) > known:
                known, since = len(self.messages_of), time.monotonic()


async def _watch_memory(process: psutil.Process, memory: list[int]) -> None:
    while True:
        memory.append(process.memory_info().rss)
        await asyncio.sleep(MEMORY_INTERVAL)


async def _watch_own_loop(lags: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.02)
        lags.append(time.perf_counter() - started - 0.02)


@asynccontextmanager
async def _database_in(folder: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        yield database
    finally:
        await database.close()


async def _read_database(folder: Path, outcome: Outcome) -> None:
    async with _database_in(folder) as database:
        found = [await database.jobs.by_interaction(sent.id) for sent in outcome.interactions]
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
    print("\n".join(mistakes[:20]) or f"All {len(outcome.accepted)} jobs were delivered once.")
    sys.exit(bool(mistakes) or not all(good for _, good in figures))


if __name__ == "__main__":
    main()
