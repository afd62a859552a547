"""Stops, kills and freezes PostgreSQL and the bots on it while they draw: `python -m tests.soak.outages`.

Two bots use one database and one token: one draws, the other one waits for the claim. The server is restarted, killed,
frozen or failed over to a standby, or the bot that draws is frozen or killed. Meanwhile users keep sending requests.
The two bots must never draw at the same time, and every accepted job must be delivered once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bot.sandbox import FakeDiscord, InteractionHandle, Message
from storage.database import Database
from storage.schema import JobState
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, ROOT, settings_for
from tests.postgresql_server import PORT, PostgresqlServer, postgresql_server
from tests.signals import send_signal
from tests.soak.kills import jobs_shown, picture_messages
from tests.storage.rules import broken_rules

TIMEOUT = 240.0
#: Seconds that the server or a bot is frozen: longer than a claim lasts.
FROZEN = 40.0
#: Seconds between two requests.
ASKED_EVERY = 2.0
#: Seconds that the server is down.
DOWN = 12.0
#: Seconds in which a bot that has lost the claim cannot have it back while another one drew in between.
TOO_SOON = 5.0
#: Seconds in which a bot that wakes and has lost the claim ends the step that it was in; long, on a busy machine.
STOPS_WITHIN = 1.0


@dataclass
class Outages:
    discord: FakeDiscord
    folder: Path
    server: PostgresqlServer
    standby: PostgresqlServer | None = None
    bots: list[Process] = field(default_factory=list)
    asked: list[InteractionHandle] = field(default_factory=list)
    #: Seconds until each person was answered, and those who were told that it cannot be done now.
    answered_after: list[float] = field(default_factory=list)
    told_no: int = 0

    async def start_bot(self) -> None:
        number = len(self.bots)
        environment = {
            **os.environ,
            **settings_for(self.discord, self.folder),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "DATABASE_URL": self.server.url(),
            "STANDBY": "true",
            "DRAWING_LOG": str(self.drawing_log(number)),
        }
        with (self.folder / f"bot-{number}.log").open("wb") as log:
            self.bots.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, *FAKE_ENGINE_BOT, cwd=self.folder, env=environment, stderr=log
                )
            )

    def drawing_log(self, number: int) -> Path:
        return self.folder / f"drawn-{number}"

    def steps(self) -> list[tuple[float, int]]:
        """When which bot drew a step."""
        logs = [(number, self.drawing_log(number)) for number in range(len(self.bots))]
        return sorted((float(line), number) for number, log in logs if log.exists() for line in log.read_text().split())

    def drawing(self) -> Process:
        """The bot that drew last."""
        return self.bots[self.steps()[-1][1]]

    async def ask(self, number: int) -> None:
        world = self.discord.world
        person = [world.alice, world.bob, world.emi][number % 3]
        started = time.monotonic()
        with suppress(Exception):  # Discord itself says that nobody answered
            interaction = await self.discord.slash(
                person, world.general, "anima imagine", prompt=f"1girl, number {number}, takes 1 s"
            )
            self.asked.append(interaction)
            told = await first_message(interaction)
            self.answered_after.append(time.monotonic() - started)
            self.told_no += "database" in told.content

    async def until(self, there: Callable[[], Awaitable[bool]], what: str) -> None:
        until = time.monotonic() + TIMEOUT
        while not await there():
            assert time.monotonic() < until, f"not {what} within {TIMEOUT:g} s"
            await asyncio.sleep(0.2)

    async def is_drawing(self) -> bool:
        return bool(self.steps())

    async def is_finished(self) -> bool:
        with suppress(Exception):
            waiting = await self.server.execute(
                "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running', 'rendered')"
            )
            return waiting == 0
        return False

    # the faults

    async def restart(self) -> None:
        await asyncio.to_thread(self.server.stop, "fast")
        await asyncio.to_thread(self.server.start)

    async def kill(self) -> None:
        await asyncio.to_thread(self.server.stop, "immediate")
        await asyncio.to_thread(self.server.start)

    async def take_down(self) -> None:
        await asyncio.to_thread(self.server.stop, "immediate")
        await asyncio.sleep(DOWN)
        await asyncio.to_thread(self.server.start)

    async def freeze(self) -> None:
        self.server.freeze()
        await asyncio.sleep(FROZEN)
        self.server.thaw()

    async def fail_over(self) -> None:
        """The server dies, its standby takes its place at the same address."""
        assert self.standby is not None
        await asyncio.to_thread(self.server.stop, "immediate")
        await asyncio.to_thread(self.standby.promote)
        self.standby.socket.rename(self.server.socket)

    async def freeze_bot(self) -> None:
        bot = self.drawing()
        everything = [psutil.Process(bot.pid), *psutil.Process(bot.pid).children(recursive=True)]
        send_signal(signal.SIGSTOP, everything)
        await asyncio.sleep(FROZEN)
        send_signal(signal.SIGCONT, everything)

    async def kill_bot(self) -> None:
        bot = self.drawing()
        bot.kill()
        await bot.wait()


async def first_message(interaction: InteractionHandle) -> Message:
    """What the person reads first: the answer, or a private sentence beside it."""
    messages = [asyncio.create_task(interaction.response()), asyncio.create_task(interaction.followup())]
    try:
        await asyncio.wait(messages, return_when=asyncio.FIRST_COMPLETED)
        return next(message.result() for message in messages if message.done())
    finally:
        for message in messages:
            message.cancel()
        await asyncio.gather(*messages, return_exceptions=True)


FAULTS: dict[str, Callable[[Outages], Awaitable[None]]] = {
    "restarted": Outages.restart,
    "killed": Outages.kill,
    "down": Outages.take_down,
    "frozen": Outages.freeze,
    "failed over": Outages.fail_over,
    "bot frozen": Outages.freeze_bot,
    "bot killed": Outages.kill_bot,
}


@dataclass(frozen=True)
class OutageReport:
    fault: str
    asked: int
    delivered: int
    told_no: int
    unanswered: int
    slowest_answer: float
    drawn_again: int
    handovers: int
    #: Seconds from the fault to the next step that was drawn.
    pause: float
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.fault}: {self.asked} asked, {self.delivered} delivered once, {self.told_no} told to try again, "
            f"{self.unanswered} without an answer (Discord says so), "
            f"slowest answer {self.slowest_answer:.1f} s, {self.drawn_again} drawn again, {self.handovers} handovers, "
            f"nothing drawn for {self.pause:.1f} s; wrong: {list(self.wrong)}"
        )


async def inject(name: str, jobs: int, folder: Path) -> OutageReport:
    """Two bots, `jobs` requests, and the fault in the middle."""
    with servers(with_standby=name == "failed over") as (server, standby):
        async with FakeDiscord() as discord:
            outages = Outages(discord, folder, server, standby)
            async with two_bots(outages):
                asking = [asyncio.create_task(outages.ask(number)) for number in range(2)]
                await outages.until(outages.is_drawing, "drawing")
                at = time.monotonic()
                injecting = asyncio.create_task(FAULTS[name](outages))
                for number in range(2, jobs):
                    asking.append(asyncio.create_task(outages.ask(number)))
                    await asyncio.sleep(ASKED_EVERY)
                await injecting
                await asyncio.gather(*asking)
                await outages.until(outages.is_finished, "finished")
                return await report(outages, name, at)


@contextmanager
def servers(*, with_standby: bool) -> Iterator[tuple[PostgresqlServer, PostgresqlServer | None]]:
    """A server, and one that has every change before it counts as committed."""
    with postgresql_server(settings="-c fsync=on -c wal_level=replica -c max_wal_senders=4") as server:
        if not with_standby:
            yield server, None
            return
        standby = PostgresqlServer(server.folder, settings="-c fsync=on", port=PORT + 1)
        source = f"host={server.folder} port={server.port} user=anima application_name=standby"
        server.run("pg_basebackup", "-D", str(standby.data), "-R", "-X", "stream", "-d", source)
        standby.data.chmod(0o700)
        standby.start()
        server.run(
            "psql", "-h", str(server.folder), "-U", "anima", "-d", "postgres",
            "-c", "ALTER SYSTEM SET synchronous_standby_names = 'standby'", "-c", "SELECT pg_reload_conf()",
        )  # fmt: skip
        try:
            yield server, standby
        finally:
            with suppress(subprocess.CalledProcessError):
                standby.stop()


@asynccontextmanager
async def two_bots(outages: Outages) -> AsyncIterator[None]:
    try:
        await outages.start_bot()
        await outages.discord.wait_until_ready(TIMEOUT)
        await outages.start_bot()
        yield
    finally:
        for bot in outages.bots:
            with suppress(ProcessLookupError):
                bot.kill()
            await bot.wait()


async def report(outages: Outages, name: str, at: float) -> OutageReport:
    database = await Database.open(outages.server.url())
    try:
        wrong = await broken_rules(database)
        jobs = [await database.jobs.by_interaction(asked.id) for asked in outages.asked]
    finally:
        await database.close()
    accepted = [job for job in jobs if job is not None]
    shown = Counter(job_id for message in picture_messages(outages.discord) for job_id in jobs_shown(message))
    for job in accepted:
        if job.state is not JobState.DELIVERED:
            wrong.append(f"job {job.id} ended as {job.state}: {job.reason}")
        if shown[job.id] != 1:
            wrong.append(f"job {job.id} is shown by {shown[job.id]} messages")
    steps = outages.steps()
    wrong += two_that_draw(steps)
    times = [moment for moment, _ in steps if moment >= at]
    return OutageReport(
        name,
        len(outages.asked),
        sum(job.state is JobState.DELIVERED for job in accepted),
        outages.told_no,
        jobs.count(None) - outages.told_no,
        max(outages.answered_after, default=0.0),
        sum(job.attempts > 1 for job in accepted),
        sum(one != other for (_, one), (_, other) in itertools.pairwise(steps)),
        max((later - earlier for earlier, later in itertools.pairwise([at, *times])), default=0.0),
        tuple(wrong),
    )


def two_that_draw(steps: Sequence[tuple[float, int]]) -> list[str]:
    """A bot that draws for longer than it takes to stop, while another one draws before and afterwards."""
    turns = [list(turn) for _, turn in itertools.groupby(steps, key=lambda step: step[1])]
    return [
        f"bot {turn[0][1]} drew {len(turn)} steps in {turn[-1][0] - turn[0][0]:.1f} s while another one drew"
        for before, turn, after in zip(turns, turns[1:], turns[2:], strict=False)
        if after[0][0] - before[-1][0] < TOO_SOON and turn[-1][0] - turn[0][0] > STOPS_WITHIN
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("faults", nargs="*", default=list(FAULTS), help=f"of {', '.join(FAULTS)} (default: all)")
    options = parser.parse_args()
    results = []
    for name in options.faults:
        with tempfile.TemporaryDirectory() as folder:
            results.append(asyncio.run(inject(name, options.jobs, Path(folder))))
        print(results[-1], flush=True)
    sys.exit(1 if any(result.wrong for result in results) else 0)


if __name__ == "__main__":
    main()
