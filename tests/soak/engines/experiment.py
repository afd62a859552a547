"""Kills and freezes some of ten engines of different speeds: `python -m tests.soak.engines.experiment`.

The real bot runs as a process with an engine's process for each of ten speeds; only the engines are fake. Every few
seconds an engine is killed or frozen, or the gateway's connection is cut. In the end each job must have been delivered
once, or refunded. The experiment compares how long users waited with the waits of the same requests in virtual time,
where only drawing takes time, and with the predicted waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import psutil

from bot.jobs.engines import RESTARTING
from bot.sandbox import FakeDiscord, InteractionHandle
from storage.database import Database
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.jobs.virtual_engines import (
    MAX_BATCH,
    PER_BATCH,
    PER_CREDIT,
    TEN,
    Absence,
    Ask,
    VirtualEngines,
    WaitRecord,
    asks,
)
from tests.end_to_end.bot_process import ROOT, settings_for
from tests.inference.engine_processes import engines_of
from tests.soak.engines.bot import SILENCE
from tests.soak.followups import wrong_charges
from tests.soak.kills import jobs_shown, lift_limits, picture_messages
from tests.storage.rules import broken_rules

TIMEOUT = 120.0
BOT = ("-m", "tests.soak.engines.bot")
FAULTS = ("killed", "killed", "frozen", "disconnected")
#: Jobs before the estimates count: until then the engines learn.
LEARNING = 50
#: How far the mean wait may be from what is computed, and the largest share by which the median wait may be predicted
#: wrong.
MAX_DIFFERENCE, MAX_ERROR = 0.10, 0.35


@dataclass(frozen=True)
class EnginesPlan:
    """load: the share of the engines' time that the requests fill. flood: jobs that one more person asks for at once.

    scale: seconds that the fastest engine takes for what takes it one in virtual time. fault_every: seconds; 0 for no
    faults.
    """

    jobs: int = 10_000
    people: int = 500
    load: float = 0.5
    flood: int = 40
    scale: float = 0.5
    fault_every: float = 4.0
    seed: int = 1


@dataclass
class EnginesOutcome:
    plan: EnginesPlan
    flooder: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    accepted: Sequence[Job] = ()
    #: What went wrong, whatever the machine's speed.
    wrong: list[str] = field(default_factory=list)
    #: The bot's record of its queue.
    queue_log: Sequence[dict[str, Any]] = ()
    absences: Sequence[Absence] = ()

    @property
    def delivered(self) -> list[Job]:
        return [job for job in self.accepted if job.state is JobState.DELIVERED]

    def waits(self) -> dict[int, float]:
        """Seconds from the queue to the drawn image, of the delivered jobs of everybody but the flooder."""
        put = {line["put"]: line["at"] for line in self.queue_log if "put" in line}
        return {
            job.id: job.rendered_at.timestamp() - put[job.id]
            for job in self.delivered
            if job.rendered_at is not None and job.id in put and job.user_id != self.flooder
        }

    def errors(self) -> list[float]:
        """By what share of the wait each predicted wait was wrong."""
        predicted = {line["put"]: line["predicted"] for line in self.queue_log if "put" in line}
        waits = list(self.waits().items())[LEARNING:]
        return [abs(predicted[job] - wait) / wait for job, wait in waits if predicted[job] is not None]

    def computed(self) -> WaitRecord:
        """The same requests, engines and absences in virtual time."""
        puts = [line for line in self.queue_log if "put" in line]
        began = puts[0]["at"]
        asked = [Ask(line["at"] - began, line["user"], round(line["credits"])) for line in puts]
        absences = [
            Absence(each.engine, each.silent - began, each.begins - began, each.ends - began) for each in self.absences
        ]
        scale = self.plan.scale
        return VirtualEngines(
            TEN, asked, per_batch=scale * PER_BATCH, per_credit=scale * PER_CREDIT, absences=absences
        ).run()

    def computed_waits(self) -> list[float]:
        """The same as `waits` in virtual time."""
        record, counted = self.computed(), self.waits()
        puts = [line["put"] for line in self.queue_log if "put" in line]
        return [record.drawn[place] - record.asked[place] for place, job in enumerate(puts) if job in counted]

    def overtakings(self) -> Iterator[tuple[int, int]]:
        """For each job of others who had none waiting: the job, and how many jobs of the flood were started before."""
        owner: dict[int, int] = {}
        waiting, started, alone, taken = Counter[int](), 0, dict[int, int](), set[int]()
        for line in self.queue_log:
            if (job := line.get("put")) is not None:
                owner[job] = line["user"]
                if not waiting[line["user"]]:
                    alone[job] = started
                waiting[line["user"]] += 1
            elif (job := line.get("back")) is not None:
                waiting[owner[job]] += 1
            for job in line.get("take", ()):
                waiting[owner[job]] -= 1
                if owner[job] == self.flooder:
                    started += job not in taken
                elif job in alone:
                    yield job, started - alone.pop(job)
                taken.add(job)

    def figures(self) -> Iterator[tuple[str, bool]]:
        """What was measured, and whether it meets its target."""
        states = Counter(job.state.value for job in self.accepted)
        again = sum(job.attempts > 1 for job in self.accepted)
        yield f"{len(self.accepted)} jobs in {self.seconds:.0f} s: {dict(states)}; {again} were begun again", True
        away = len(self.absences)
        yield (
            f"faults: {dict(self.faults)}; an engine was away {away} times",
            away > 0 or not self.faults["killed"] + self.faults["frozen"],
        )
        waited, computed = mean(self.waits().values()), mean(self.computed_waits())
        difference = waited / computed - 1
        yield (
            f"mean wait {waited:.2f} s, computed {computed:.2f} s: {difference:+.1%}",
            abs(difference) <= MAX_DIFFERENCE,
        )
        if errors := self.errors():
            yield f"predicted waits were wrong by a median of {median(errors):.1%}", median(errors) < MAX_ERROR


async def experiment(plan: EnginesPlan, folder: Path) -> EnginesOutcome:
    """Run the plan, with the database and the bot's records in `folder`."""
    outcome, chance = EnginesOutcome(plan), random.Random(plan.seed)
    async with FakeDiscord() as discord:
        await lift_limits(folder, discord)
        people = [discord.world.add_user(f"member{number}", discord.world.guild) for number in range(plan.people)]
        flooder = discord.world.add_user("flooder", discord.world.guild)
        outcome.flooder = flooder.id
        sent: list[InteractionHandle] = []

        async def ask(person: int, count: int) -> None:
            user = flooder if person < 0 else people[person]
            sent.append(await discord.slash(user, discord.world.general, "anima imagine", prompt="1girl", count=count))

        with (folder / "bot.log").open("wb") as log:
            process = await _start(discord, folder, plan, log.fileno())
            try:
                await discord.wait_until_ready(TIMEOUT)
                await _until_loaded(folder, len(TEN))
                began = time.perf_counter()
                injecting = asyncio.create_task(_inject_faults(discord, process, plan, chance, outcome.faults))
                for ask_of in _timetable(plan):
                    await asyncio.sleep(began + plan.scale * ask_of.at - time.perf_counter())
                    await ask(ask_of.user_id, ask_of.credits)
                injecting.cancel()
                with suppress(asyncio.CancelledError):
                    await injecting
                await _until_settled(folder, sent)
                outcome.seconds = time.perf_counter() - began
                await asyncio.sleep(1)  # for duplicates that arrive late
                process.send_signal(signal.SIGTERM)
                if await asyncio.wait_for(process.wait(), TIMEOUT) != 0:
                    outcome.wrong.append(f"the bot ended with exit code {process.returncode}")
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        await _read(discord, folder, sent, outcome)
    outcome.wrong += [
        f"job {job} waited for {count} jobs of the flood to begin"
        for job, count in outcome.overtakings()
        if count > MAX_BATCH
    ]
    return outcome


def _timetable(plan: EnginesPlan) -> list[Ask]:
    """What is asked for when, by everybody: the flood comes in a row, after a third of the time."""
    usual = asks(plan.jobs - plan.flood, plan.load, TEN, plan.seed, plan.people)
    rush = [Ask(usual[len(usual) // 3].at + number * 0.01, -1, 4) for number in range(plan.flood)]
    return sorted([*usual, *rush], key=lambda each: each.at)


async def _start(discord: FakeDiscord, folder: Path, plan: EnginesPlan, log: int) -> Process:
    environment = {
        **os.environ,
        **settings_for(discord, folder),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "ANIMA_LARGEST_BATCH": str(MAX_BATCH),
        "LOG_FORMAT": "json",
        "SLOWNESS": ",".join(map(str, TEN)),
        "SCALE": str(plan.scale),
        "QUEUE_LOG": str(folder / "queue.log"),
    }
    return await asyncio.create_subprocess_exec(sys.executable, *BOT, cwd=folder, env=environment, stderr=log)


async def _inject_faults(
    discord: FakeDiscord, process: Process, plan: EnginesPlan, chance: random.Random, faults: Counter[str]
) -> None:
    """Every few seconds, kill or freeze an engine's process, or cut the gateway's connection, until cancelled."""
    while plan.fault_every:
        await asyncio.sleep(plan.fault_every * chance.uniform(0.5, 1.5))
        kind = chance.choice(FAULTS)
        engines = engines_of(process.pid)
        if kind == "disconnected":
            discord.gateway.drop()
        elif engines:
            with suppress(psutil.NoSuchProcess):
                chance.choice(engines).send_signal(signal.SIGKILL if kind == "killed" else signal.SIGSTOP)
        faults[kind] += 1


async def _until_loaded(folder: Path, engines: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while sum(message.startswith("loaded ") for _, _, message in _engine_lines(folder)) < engines:
            await asyncio.sleep(0.1)


async def _until_settled(folder: Path, sent: Sequence[InteractionHandle]) -> None:
    """Until every job has ended, or no more ended for a while."""
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        left, since = len(sent) + 1, time.monotonic()
        while left and time.monotonic() - since < TIMEOUT:
            live = len(await database.jobs.live())
            if live != left:
                left, since = live, time.monotonic()
            await asyncio.sleep(0.25)
    finally:
        await database.close()


def _engine_lines(folder: Path) -> Iterator[tuple[float, int, str]]:
    """Of each line of the bot's log that is about an engine: when, which, and what it says."""
    for line in (folder / "bot.log").read_text().splitlines():
        if line.startswith("{") and line.endswith("}") and (name := (said := json.loads(line)).get("engine")):
            yield datetime.fromisoformat(said["time"]).timestamp(), int(name.partition("-")[2]), said["message"]


def _absences(folder: Path) -> Iterator[Absence]:
    """When engines were away, from the moment at which the bot noticed. It noticed late that one was frozen."""
    lost: dict[int, float] = {}
    frozen: dict[int, float] = {}
    for at, engine, message in _engine_lines(folder):
        if "The engine hung" in message:
            frozen[engine] = at - SILENCE
        elif message.startswith(RESTARTING.partition("%")[0]):
            lost.setdefault(engine, at)
        elif message.startswith("loaded ") and engine in lost:
            noticed = lost.pop(engine)
            yield Absence(engine, frozen.pop(engine, noticed), noticed, at)


async def _read(discord: FakeDiscord, folder: Path, sent: Sequence[InteractionHandle], outcome: EnginesOutcome) -> None:
    outcome.queue_log = [json.loads(line) for line in (folder / "queue.log").read_text().splitlines()]
    outcome.absences = list(_absences(folder))
    database = await Database.open(f"sqlite:///{folder}/anima.db")
    try:
        outcome.wrong += await broken_rules(database)
        found = [await database.jobs.by_interaction(each.id) for each in sent]
    finally:
        await database.close()
    outcome.accepted = [job for job in found if job is not None]
    outcome.wrong += [
        f"interaction {each.id} was acknowledged, and nothing came of it"
        for each, job in zip(sent, found, strict=True)
        if job is None and each.interaction.callback is not None and each.interaction.callback.is_deferral
    ]
    shown = Counter(job_id for message in picture_messages(discord) for job_id in jobs_shown(message))
    for job in outcome.accepted:
        if job.state not in (JobState.DELIVERED, JobState.FAILED):
            outcome.wrong.append(f"job {job.id} is {job.state.value}")
        if shown[job.id] != (job.state is JobState.DELIVERED):
            outcome.wrong.append(f"job {job.id}, which is {job.state.value}, is shown by {shown[job.id]} messages")
    outcome.wrong += wrong_charges(folder / "anima.db")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(EnginesPlan()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    plan = EnginesPlan(**vars(parser.parse_args()))
    print(f"{plan}; load average {' '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(experiment(plan, Path(folder)))
        figures = list(outcome.figures())
    for sentence, good in figures:
        print(f"  {'ok  ' if good else 'MISS'} {sentence}")
    print(f"load average at the end {' '.join(f'{each:.1f}' for each in os.getloadavg())}")
    print("\n".join(outcome.wrong[:20]) or "Every job was delivered once or refunded.")
    sys.exit(bool(outcome.wrong) or not all(good for _, good in figures))


if __name__ == "__main__":
    main()
