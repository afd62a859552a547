"""Kills the bot many times; each acknowledged request must still end in one message: `python -m tests.soak.kills`.

The bot is a real process, with discord.py, SQLite and an engine's process; only the engine is fake. The fake Discord
runs in this process and survives. It decides when to kill: it holds back a request of the bot, before or after its
effect, and never answers it. Other kills come at random times.
"""

from __future__ import annotations

import argparse
import asyncio
import random
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

from bot.generation.spec import JobSpec
from bot.rules.server_settings import MAX_TIMES_NATIVE, MAX_WAITING, Quota, ServerLimits, ServerSettings
from bot.sandbox import Channel, FakeDiscord, InteractionHandle, Message, User
from bot.sandbox.server.faults import Fault, When
from storage.database import Database
from storage.jobs import Job
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, TIMEOUT, bot_process
from tests.inference.engine_processes import engines_of, is_running
from tests.miniature_tagger import write_tagger
from tests.soak.followups import DRAWING, FILE_NAME, Action, FollowUps, is_small_for, side_of, wrong_charges
from tests.storage.rules import broken_rules

CALLBACK, EDIT, CREATE = "^/interactions/", "^/webhooks/.*/messages/|^/channels/.*/messages/", "^/channels/.*/messages$"
WEBHOOK = "^/webhooks/.*/messages/"
PICTURE = FILE_NAME.pattern
PLAIN = "1girl"
#: How many requests are about images that are there.
PRESSED = 0.5
LIVE = ("queued", "running", "rendered")


@dataclass
class Soak:
    """One fake Discord and one database, on which bots are killed."""

    discord: FakeDiscord
    folder: Path
    rng: random.Random
    follow_ups: FollowUps
    #: What is to become a job.
    asked: list[InteractionHandle] = field(default_factory=list)
    #: Unfinished jobs by state, summed over the kills.
    unfinished: Counter[str] = field(default_factory=Counter)

    async def ask(self, prompt: str = PLAIN, *, where: tuple[User, Channel] | None = None) -> InteractionHandle:
        """Send `/anima imagine` for one or two images: from a random user, or publicly from `where`."""
        user, channel = where or self.rng.choice(self.places())
        private = where is None and self.rng.random() < 0.2
        interaction = await self.discord.slash(
            user, channel, "anima imagine", prompt=prompt, count=self.rng.choice([1, 1, 2]), private=private
        )
        self.asked.append(interaction)
        return interaction

    async def ask_anything(self) -> InteractionHandle:
        """Send `/anima imagine`, or ask for something that can be done with an image that is there."""
        action = self.follow_ups.choose()
        return await self.follow_up(action) if self.rng.random() < PRESSED else await self.ask()

    async def follow_up(self, action: Action) -> InteractionHandle:
        """The same under an image that everybody sees; `/anima imagine` if there is none that is small enough."""
        small = [
            each for each in picture_messages(self.discord) if each.visible_to is None and is_small_for(action, each)
        ]
        if not small:
            return await self.ask()
        largest = max(small, key=lambda message: (side_of(message), message.id))  # so that some are drawn in tiles
        message = self.rng.choice([self.rng.choice(small), largest])
        seeing = [user for user, _ in self.places() if self.discord.world.can_see(user, message.channel)]
        sent = await self.follow_ups.ask(action, self.rng.choice(seeing), message)
        if action in DRAWING:
            self.asked.append(sent)
        return sent

    def places(self) -> list[tuple[User, Channel]]:
        world = self.discord.world
        return [(world.alice, world.general), (world.bob, world.general), (world.emi, world.after_dark)]

    def states(self) -> Counter[str]:
        with closing(sqlite3.connect(self.folder / "anima.db", timeout=TIMEOUT)) as database:
            return Counter(dict(database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state")))

    def is_finished(self) -> bool:
        """Whether no job is live, and nothing that was asked for is unanswered."""
        with closing(sqlite3.connect(self.folder / "anima.db", timeout=TIMEOUT)) as database:
            [(unanswered,)] = database.execute("SELECT COUNT(*) FROM unanswered")
        return not unanswered and not any(self.states()[state] for state in LIVE)

    def accepted(self, asked: Sequence[InteractionHandle]) -> bool:
        """Whether all of these that are to have a job have one."""
        with closing(sqlite3.connect(self.folder / "anima.db", timeout=TIMEOUT)) as database:
            known = {interaction_id for (interaction_id,) in database.execute("SELECT interaction_id FROM jobs")}
        return {each.id for each in asked if each in self.asked} <= known

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

    async def shown(self, asked: InteractionHandle) -> Message:
        """The message of a job, once it shows the images."""

        def message() -> Message | None:
            id = asked.interaction.original_id
            return None if id is None else self.discord.messages.get(id)

        await self.until(lambda: (found := message()) is not None and bool(jobs_shown(found)))
        found = message()
        assert found is not None
        return found

    async def kill_while_posting(self, process: Process, post: Fault) -> None:
        """Kill while a post is held back, which is then dropped. Its nonce expires before the restart."""
        await self.until(lambda: post.hits > 0)
        await self.kill(process)
        post.cut()
        # As Discord does after some minutes. Turning its clock would also end the tokens of private messages, of which
        # nobody can tell afterwards whether they show the image.
        self.discord.messages._nonces.clear()

    async def kill(self, process: Process) -> None:
        process.kill()
        await process.wait()
        self.unfinished.update({state: count for state, count in self.states().items() if state in LIVE})


Aim = Callable[[Soak, Process], Awaitable[None]]


def while_held(
    method: str,
    route: str,
    when: When,
    *,
    file: str | None = None,
    afterwards: Callable[[Fault], None] = Fault.cut,
    action: Action | None = None,
) -> Aim:
    """Kill while the fake Discord holds back such a request; `afterwards` it is dropped, or what is given.

    action: what alone is asked for; None for an image and whatever else.
    """

    async def aim(soak: Soak, process: Process) -> None:
        fault = soak.discord.faults.hold(method, route, when=when, file=file)
        asked = [await (soak.ask() if action is None else soak.follow_up(action))]
        if action is None:
            asked += [await soak.ask_anything() for _ in range(soak.rng.randint(0, 2))]
        if file is not None:  # if acknowledgements are held back, this would wait forever
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
        await soak.kill_while_posting(process, fault)

    return aim


def while_shared(when: When) -> Aim:
    """Kill while an image is posted in the gallery. The post's nonce expires before the restart."""

    async def aim(soak: Soak, process: Process) -> None:
        asked = await soak.ask(where=(soak.discord.world.alice, soak.discord.world.general))
        await asked.acknowledged(TIMEOUT)
        message = await soak.shown(asked)
        fault = soak.discord.faults.hold("POST", CREATE, when=when, file=PICTURE)
        await soak.follow_ups.ask(Action.SHARE, soak.discord.world.bob, message)
        await soak.kill_while_posting(process, fault)

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
        await soak.ask_anything()
        await asyncio.sleep(soak.rng.uniform(0, 0.1))
    await soak.kill(process)


async def just_after_connecting(soak: Soak, process: Process) -> None:
    """Kill while unfinished jobs are recovered."""
    await soak.ask_anything()
    await asyncio.sleep(soak.rng.uniform(0, 0.3))
    await soak.kill(process)


async def while_loading(soak: Soak, process: Process) -> None:
    """Kill a bot whose model is loading, after everything was acknowledged."""
    for asked in [await soak.ask_anything() for _ in range(soak.rng.randint(1, 3))]:
        await asked.acknowledged(TIMEOUT)
    await asyncio.sleep(soak.rng.uniform(0, 0.2))
    await soak.kill(process)


async def just_after_acknowledging(soak: Soak, process: Process) -> None:
    """Kill between the acknowledgement and the job."""
    asked = await soak.ask_anything()
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
    "shared, not recorded": while_shared("after"),
    "to be shared": while_shared("before"),
    "described, not shown": while_held("PATCH", WEBHOOK, "before", action=Action.DESCRIBE),
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
    #: Accepted jobs by what they are; upscales in one pass and in tiles apart.
    kinds: Counter[str]
    #: How often somebody shared and described, in a sentence.
    follow_ups: str
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
                f"jobs by kind: {dict(self.kinds)}",
                self.follow_ups,
                f"violations: {len(self.wrong)}",
                *(f"  {each}" for each in self.wrong),
            ]
        )


async def soak(kills: int, seed: int, folder: Path, aims: Sequence[str] = tuple(AIMS)) -> KillReport:
    """Kill bots on one database in `folder`, at each of `aims` in turn, then let one finish all jobs."""
    started, done = time.monotonic(), Counter[str]()
    async with FakeDiscord() as discord:
        rng = random.Random(seed)
        follow_ups = FollowUps(discord, discord.world.gallery, discord.world.bob, rng)
        soak = Soak(discord, folder, rng, follow_ups)
        await lift_limits(folder, discord)
        tagger = str(write_tagger(folder / "tagger"))
        for number in range(kills):
            aim = aims[number % len(aims)]
            variables = {"ANIMA_TAGGER": tagger, **ENVIRONMENTS.get(aim, {})}
            async with bot_process(discord, folder, FAKE_ENGINE_BOT, **variables) as process:
                await AIMS[aim](soak, process)
            assert process.returncode == -signal.SIGKILL, f"{aim}: the bot ended by itself ({process.returncode})"
            done[aim] += 1
            discord.faults.clear()
            await discord.wait_until_gone(TIMEOUT)
        async with bot_process(discord, folder, FAKE_ENGINE_BOT, ANIMA_TAGGER=tagger) as process:
            await soak.until(lambda: bool(engines_of(process.pid)))
            engines = engines_of(process.pid)
            await soak.until(soak.is_finished)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), TIMEOUT) == 0
            assert not any(is_running(engine.pid) for engine in engines)
        return await report(soak, done, time.monotonic() - started)


async def lift_limits(folder: Path, discord: FakeDiscord) -> None:
    """A few people ask for more than a new server lets anybody have; and there is a gallery."""
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        changes = ServerSettings().changes_to(
            ServerSettings(
                quota=Quota(None), limits=ServerLimits(waiting=MAX_WAITING, upscaled_times_native=MAX_TIMES_NATIVE)
            )
        )
        for guild in discord.world.guilds.values():
            await database.servers.change(guild.id, changes, by=discord.world.alice.id)
        gallery = {"gallery_channel_id": discord.world.gallery.id}
        await database.servers.change(discord.world.guild.id, gallery, by=discord.world.alice.id)
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
    wrong += soak.follow_ups.mistakes(soak.folder / "anima.db")
    return KillReport(
        kills,
        soak.unfinished,
        len(soak.asked),
        len(accepted),
        sum(job.state == "delivered" for job in accepted),
        pictures,
        sum(job.attempts > 1 for job in accepted),
        Counter(kind_of(job) for job in accepted),
        soak.follow_ups.counts(),
        seconds,
        tuple(wrong),
    )


def kind_of(job: Job) -> str:
    is_tiled = any(recipe.tile is not None for recipe in JobSpec.of(job).recipes)
    return f"{job.kind}, tiled" if is_tiled else job.kind


def picture_messages(discord: FakeDiscord) -> list[Message]:
    """Every message with finished images, in all channels but the gallery, private ones included."""
    world = discord.world
    channels = [channel for guild in world.guilds.values() for channel in guild.channels if channel != world.gallery]
    return [
        message
        for channel in (*channels, *world.private_channels.values())
        for message in discord.messages_in(channel)
        if jobs_shown(message)
    ]


def jobs_shown(message: Message) -> set[int]:
    found = [FILE_NAME.search(attachment.filename) for attachment in message.attachments]
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
