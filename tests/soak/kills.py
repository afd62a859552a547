"""Kills the bot many times; what was acknowledged must still end in one message: `python -m tests.soak.kills`.

The bot is a real process, with discord.py, SQLite and an engine's process; only the engine is fake. The fake Discord
runs in this process and survives. It decides when to kill: it holds back a request of the bot, before or after its
effect, and never answers it. Other kills come at random times.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bot.rules.server_settings import MAX_WAITING, Quota, ServerLimits, ServerSettings
from bot.sandbox import Channel, FakeDiscord, InteractionHandle, Message, User
from bot.sandbox.server.faults import Fault, When
from storage.database import Database
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, bot_process
from tests.storage.rules import broken_rules

TIMEOUT = 60.0
#: Seconds after which Discord no longer recognizes a nonce.
NONCE_EXPIRES = 200.0
CALLBACK, EDIT, CREATE = "^/interactions/", "^/webhooks/.*/messages/|^/channels/.*/messages/", "^/channels/.*/messages$"
PICTURE = r"anima-(\d+)-\d+\."
LIVE = ("queued", "running", "rendered")


@dataclass
class Soak:
    """One fake Discord and one database, on which bots are killed."""

    discord: FakeDiscord
    folder: Path
    rng: random.Random
    asked: list[InteractionHandle] = field(default_factory=list)
    #: Unfinished jobs by state, summed over the kills.
    unfinished: Counter[str] = field(default_factory=Counter)

    async def ask(self, prompt: str = "1girl", *, where: tuple[User, Channel] | None = None) -> InteractionHandle:
        """Send `/anima imagine` for one or two images: from a random user, or publicly from `where`."""
        user, channel = where or self.rng.choice(self.places())
        private = where is None and self.rng.random() < 0.2
        interaction = await self.discord.slash(
            user, channel, "anima imagine", prompt=prompt, count=self.rng.choice([1, 1, 2]), private=private
        )
        self.asked.append(interaction)
        return interaction

    def places(self) -> list[tuple[User, Channel]]:
        world = self.discord.world
        return [(world.alice, world.general), (world.bob, world.gallery), (world.emi, world.after_dark)]

    def states(self) -> Counter[str]:
        with closing(sqlite3.connect(self.folder / "anima.db", timeout=TIMEOUT)) as database:
            return Counter(dict(database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state")))

    def is_finished(self) -> bool:
        """Whether no job is live, and nothing that was asked for is unanswered."""
        with closing(sqlite3.connect(self.folder / "anima.db", timeout=TIMEOUT)) as database:
            [(unanswered,)] = database.execute("SELECT COUNT(*) FROM unanswered")
        return not unanswered and not any(self.states()[state] for state in LIVE)

    def accepted(self, asked: Sequence[InteractionHandle]) -> bool:
        """Whether all of these have a job."""
        with closing(sqlite3.connect(self.folder / "anima.db", timeout=TIMEOUT)) as database:
            known = {interaction_id for (interaction_id,) in database.execute("SELECT interaction_id FROM jobs")}
        return {each.id for each in asked} <= known

    async def until(self, there: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not there():
                await asyncio.sleep(0.005)

    async def until_running(self, asked: InteractionHandle) -> None:
        def is_running() -> bool:
            with closing(sqlite3.connect(self.folder / "anima.db", timeout=TIMEOUT)) as database:
                query = "SELECT 1 FROM jobs WHERE interaction_id = ? AND state = 'running'"
                return database.execute(query, [asked.id]).fetchone() is not None

        await self.until(is_running)

    async def kill(self, process: Process) -> None:
        process.kill()
        await process.wait()
        self.unfinished.update({state: count for state, count in self.states().items() if state in LIVE})


Aim = Callable[[Soak, Process], Awaitable[None]]


def while_held(
    method: str, route: str, when: When, *, file: str | None = None, afterwards: Callable[[Fault], None] = Fault.cut
) -> Aim:
    """Kill while the fake Discord holds back such a request; `afterwards` it is dropped, or what is given."""

    async def aim(soak: Soak, process: Process) -> None:
        fault = soak.discord.faults.hold(method, route, when=when, file=file)
        asked = [await soak.ask() for _ in range(soak.rng.randint(1, 3))]
        if file is not None:  # if acknowledgements are held back, this would wait for ever
            await soak.until(lambda: soak.accepted(asked))
        await soak.until(lambda: fault.hits > 0)
        await soak.kill(process)
        afterwards(fault)

    return aim


def while_reposted(when: When) -> Aim:
    """Kill while a new message opens an archived thread again. Its nonce expires before the restart."""

    async def aim(soak: Soak, process: Process) -> None:
        world = soak.discord.world
        world.thread.archived = False
        fault = soak.discord.faults.hold("POST", CREATE, when=when, file=PICTURE)
        asked = await soak.ask("1girl, takes 1 s", where=(world.emi, world.thread))
        await soak.until_running(asked)
        await asked.acknowledged(TIMEOUT)
        soak.discord.archive_thread(world.thread)
        await soak.until(lambda: fault.hits > 0)
        await soak.kill(process)
        fault.cut()
        soak.discord.clock.turn(NONCE_EXPIRES)

    return aim


async def while_running(soak: Soak, process: Process) -> None:
    asked = await soak.ask("1girl, takes 1 s")
    await soak.until_running(asked)
    await asyncio.sleep(soak.rng.uniform(0, 0.5))
    await soak.kill(process)


async def just_after_posting(soak: Soak, process: Process) -> None:
    await soak.ask()
    await soak.discord.wait_for_event(
        lambda event: event.message is not None and bool(jobs_shown(event.message)),
        TIMEOUT,
        after=len(soak.discord.events.history),
    )
    await asyncio.sleep(soak.rng.uniform(0, 0.02))
    await soak.kill(process)


async def at_random(soak: Soak, process: Process) -> None:
    killing_at = time.monotonic() + soak.rng.uniform(0, 1)
    while time.monotonic() < killing_at:
        await soak.ask()
        await asyncio.sleep(soak.rng.uniform(0, 0.1))
    await soak.kill(process)


async def just_after_connecting(soak: Soak, process: Process) -> None:
    """Kill while unfinished jobs are recovered."""
    await soak.ask()
    await asyncio.sleep(soak.rng.uniform(0, 0.3))
    await soak.kill(process)


async def while_loading(soak: Soak, process: Process) -> None:
    """Kill a bot whose model is loading, after everything was acknowledged."""
    for asked in [await soak.ask() for _ in range(soak.rng.randint(1, 3))]:
        await asked.acknowledged(TIMEOUT)
    await asyncio.sleep(soak.rng.uniform(0, 0.2))
    await soak.kill(process)


async def just_after_acknowledging(soak: Soak, process: Process) -> None:
    """Kill between the acknowledgement and the job."""
    asked = await soak.ask()
    await asked.acknowledged(TIMEOUT)
    await asyncio.sleep(soak.rng.uniform(0, 0.03))
    await soak.kill(process)


AIMS: dict[str, Aim] = {
    "received, not acknowledged": while_held("POST", CALLBACK, "before"),
    "acknowledged, not committed": while_held("POST", CALLBACK, "after"),
    "just acknowledged": just_after_acknowledging,
    "while the model loads": while_loading,
    "committed, not shown": while_held("PATCH", EDIT, "before"),
    "picked, not rendered": while_running,
    "rendered, never posted": while_held("PATCH", EDIT, "before", file=PICTURE),
    "rendered, posted after the kill": while_held("PATCH", EDIT, "before", file=PICTURE, afterwards=Fault.release),
    "posted, not recorded": while_held("PATCH", EDIT, "after", file=PICTURE),
    "reposted, not recorded": while_reposted("after"),
    "to be reposted": while_reposted("before"),
    "about to be recorded": just_after_posting,
    "at random": at_random,
    "just after connecting": just_after_connecting,
}


#: Variables of the bots that are killed at these aims.
ENVIRONMENTS = {"while the model loads": {"LOADING_SECONDS": "20"}}


@dataclass(frozen=True)
class KillReport:
    """The results. `wrong`: every violation."""

    kills: Counter[str]
    unfinished: Counter[str]
    commands: int
    accepted: int
    delivered: int
    pictures: int
    repeated: int
    seconds: float
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.kills.total()} kills in {self.seconds:.0f} s:",
                *(f"  {count:4d} {aim}" for aim, count in self.kills.items()),
                f"live jobs at the kills: {dict(self.unfinished)}",
                f"{self.commands} commands, {self.accepted} accepted as jobs, {self.delivered} delivered once "
                f"with {self.pictures} images; {self.repeated} jobs were generated more than once",
                f"violations: {len(self.wrong)}",
                *(f"  {each}" for each in self.wrong),
            ]
        )


async def soak(kills: int, seed: int, folder: Path, aims: Sequence[str] = tuple(AIMS)) -> KillReport:
    """Kill bots on one database in `folder`, at each of `aims` in turn, then let one finish all jobs."""
    started, done = time.monotonic(), Counter[str]()
    async with FakeDiscord() as discord:
        soak = Soak(discord, folder, random.Random(seed))
        await lift_limits(folder, discord)
        for number in range(kills):
            aim = aims[number % len(aims)]
            async with bot_process(discord, folder, FAKE_ENGINE_BOT, **ENVIRONMENTS.get(aim, {})) as process:
                await AIMS[aim](soak, process)
            assert process.returncode == -signal.SIGKILL, f"{aim}: the bot ended by itself ({process.returncode})"
            done[aim] += 1
            discord.faults.clear()
            await discord.wait_until_gone(TIMEOUT)
        async with bot_process(discord, folder, FAKE_ENGINE_BOT) as process:
            engines = psutil.Process(process.pid).children()
            await soak.until(soak.is_finished)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), TIMEOUT) == 0
            assert not any(engine.is_running() for engine in engines)
        return await report(soak, done, time.monotonic() - started)


async def lift_limits(folder: Path, discord: FakeDiscord) -> None:
    """A few people ask for more than a new server lets anybody have."""
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        changes = ServerSettings().changes_to(
            ServerSettings(quota=Quota(None), limits=ServerLimits(waiting=MAX_WAITING))
        )
        for guild in discord.world.guilds.values():
            await database.servers.change(guild.id, changes, by=discord.world.alice.id)
    finally:
        await database.close()


async def report(soak: Soak, kills: Counter[str], seconds: float) -> KillReport:
    url = f"sqlite:///{soak.folder}/anima.db"
    database = await Database.open(url)
    try:
        wrong = await broken_rules(database)
        jobs = [await database.jobs.by_interaction(asked.id) for asked in soak.asked]
    finally:
        await database.close()
    accepted = [job for job in jobs if job is not None]
    wrong += [
        f"interaction {asked.id} was acknowledged, and nothing came of it"
        for asked, job in zip(soak.asked, jobs, strict=True)
        if asked.interaction.callback is not None and job is None
    ]
    messages = picture_messages(soak.discord)
    mentioned = pings(soak.discord)
    pictures = 0
    for job in accepted:
        mine = [message for message in messages if job.id in jobs_shown(message)]
        pictures += sum(len(message.shown) for message in mine)
        if job.state != "delivered":
            wrong.append(f"job {job.id} ended as {job.state}: {job.reason}")
        if len(mine) != 1:
            wrong.append(f"job {job.id} is shown by {len(mine)} messages")
        elif mine[0].id != job.message_id:
            wrong.append(f"job {job.id} is shown by message {mine[0].id}, but {job.message_id} is recorded")
        if set(mentioned[job.id]) - {job.user_id} or len(mentioned[job.id]) > 1:
            wrong.append(f"job {job.id} of {job.user_id} mentioned {mentioned[job.id]}")
    unknown = {job_id for message in messages for job_id in jobs_shown(message)} - {job.id for job in accepted}
    wrong += [f"pictures of a job {job_id} that is not in the database" for job_id in unknown]
    wrong += wrong_charges(soak.folder / "anima.db")
    return KillReport(
        kills,
        soak.unfinished,
        len(soak.asked),
        len(accepted),
        sum(job.state == "delivered" for job in accepted),
        pictures,
        sum(job.attempts > 1 for job in accepted),
        seconds,
        tuple(wrong),
    )


def picture_messages(discord: FakeDiscord) -> list[Message]:
    """Every message with finished images, in all channels, private ones included."""
    world = discord.world
    channels = [channel for guild in world.guilds.values() for channel in guild.channels]
    return [
        message
        for channel in (*channels, *world.private_channels.values())
        for message in discord.messages_in(channel)
        if jobs_shown(message)
    ]


def jobs_shown(message: Message) -> set[int]:
    found = [re.search(PICTURE, attachment.filename) for attachment in message.attachments]
    return {int(name[1]) for name in found if name is not None}


def pings(discord: FakeDiscord) -> dict[int, list[int]]:
    """The users that new messages mentioned, by the job whose images they show."""
    mentioned: dict[int, list[int]] = {
        job_id: [] for message in picture_messages(discord) for job_id in jobs_shown(message)
    }
    for event in discord.events.history:
        if event.kind == "message_create" and event.message is not None:
            for job_id in jobs_shown(event.message):
                mentioned.setdefault(job_id, []).extend(user.id for user in event.message.mentions.users)
    return mentioned


def wrong_charges(file: Path) -> list[str]:
    """An error unless the credits spent are exactly those of the delivered jobs."""
    with closing(sqlite3.connect(file)) as database:
        [(spent,)] = database.execute("SELECT COALESCE(SUM(spent), 0) FROM charges")
        [(delivered,)] = database.execute("SELECT COALESCE(SUM(cost), 0) FROM jobs WHERE state = 'delivered'")
    return [] if abs(spent - delivered) < 1e-6 else [f"{spent} credits are spent, {delivered} were delivered"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(soak(options.kills, options.seed, Path(folder)))
    print(result)
    sys.exit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
