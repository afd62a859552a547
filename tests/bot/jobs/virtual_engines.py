"""Engines of different speeds on the bot's own queue and forecast, in virtual time: hours pass in a second."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bot.jobs.queue import FairQueue, QueuedJob
from bot.jobs.throughput import Forecast, Throughput, typical_pace

T = TypeVar("T")

#: Seconds that the fastest engine takes for a batch, and for each credit in it.
PER_BATCH, PER_CREDIT = 0.3, 0.7
#: Of each engine, how many times as long as the fastest it takes.
TEN = (1.0,) * 4 + (2.0,) * 3 + (4.0,) * 2 + (8.0,)
CREDITS = (1, 1, 2, 4, 4)
MAX_BATCH = 4
#: Seconds. A sleep may end this much too early, because the loop counts what is due within its clock's resolution.
ROUNDING = 1e-6
MAX_SELECTS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Ask:
    """A job that somebody asks for at a moment."""

    at: float
    user_id: int
    credits: int
    model: str = ""


@dataclass(frozen=True)
class Absence:
    """An engine is away from one moment to another; its batch is queued again.

    silent: from when on it has drawn nothing to the end.
    """

    engine: int
    silent: float
    begins: float
    ends: float


def asks(count: int, load: float, engines: Sequence[float], seed: int, users: int = 300, models: int = 1) -> list[Ask]:
    """Jobs at random times, which keep the engines busy for a share `load` of the time."""
    chance = random.Random(seed)
    rate = load * sum(1 / slowness for slowness in engines) / (sum(CREDITS) / len(CREDITS))
    at, found = 0.0, []
    for _ in range(count):
        at += chance.expovariate(rate)
        model = f"model-{chance.randrange(models)}" if models > 1 else ""
        found.append(Ask(at, chance.randrange(users), chance.choice(CREDITS), model))
    return found


@dataclass
class WaitRecord:
    """What happened to each job, by its place among those asked for. Times in seconds."""

    asked: dict[int, float] = field(default_factory=dict)
    predicted: dict[int, float] = field(default_factory=dict)
    drawn: dict[int, float] = field(default_factory=dict)
    #: Jobs in the order in which they were drawn.
    order: list[int] = field(default_factory=list)
    swaps: int = 0
    cancelled: set[int] = field(default_factory=set)

    @property
    def waits(self) -> list[float]:
        """From the command to the image."""
        return [self.drawn[job_id] - self.asked[job_id] for job_id in self.asked]

    def errors(self, learnt_after: int = 50) -> list[float]:
        """By what share of the wait each predicted wait was wrong, once the engines have drawn a little."""
        return [
            abs(predicted - (self.drawn[job_id] - self.asked[job_id])) / (self.drawn[job_id] - self.asked[job_id])
            for job_id, predicted in self.predicted.items()
            if job_id >= learnt_after
        ]


@dataclass
class VirtualEngines:
    """One run. `by_speed`: whether the queue knows which engine is fast; otherwise any that is free may have a job."""

    slowness: Sequence[float]
    asks: Sequence[Ask]
    seed: int = 0
    by_speed: bool = True
    swap_seconds: float = 0.0
    per_batch: float = PER_BATCH
    per_credit: float = PER_CREDIT
    #: With so many credits in a batch an engine says that it is busy.
    full_pass: int | None = None
    absences: Sequence[Absence] = ()
    #: When jobs are cancelled that still wait then, by their place among those asked for.
    cancels: Mapping[int, float] = field(default_factory=dict)

    def run(self) -> WaitRecord:
        return in_virtual_time(self._run)

    async def _run(self) -> WaitRecord:
        clock = asyncio.get_running_loop().time
        chance, record = random.Random(self.seed), WaitRecord()
        queue = FairQueue(MAX_BATCH, clock=clock)
        throughputs = [Throughput(clock) for _ in self.slowness]
        forecast = Forecast(queue, lambda: throughputs, clock)

        async def take(throughput: Throughput, before: float) -> tuple[QueuedJob, ...] | None:
            consumer = throughput.consumer(typical_pace(throughputs) if self.by_speed else None)
            try:
                async with asyncio.timeout_at(before if before < math.inf else None):
                    return await queue.take(consumer)
            except TimeoutError:
                return None

        async def draw(number: int, slowness: float, throughput: Throughput) -> None:
            throughput.loaded = frozenset({""})
            throughput.full_pass = self.full_pass
            away = deque(
                sorted((each for each in self.absences if each.engine == number), key=lambda each: each.begins)
            )
            while True:
                leaves, silent = (away[0].begins, away[0].silent) if away else (math.inf, math.inf)
                batch = await take(throughput, leaves) if clock() + ROUNDING < leaves else None
                if batch is None:
                    await asyncio.sleep(away.popleft().ends - clock())
                    continue
                if not batch:
                    return
                throughput.take(batch)
                throughput.begin()
                credits = sum(job.cost for job in batch)
                if swaps := throughput.batch.swaps:
                    throughput.loaded = frozenset(batch[0].models)
                    record.swaps += swaps
                    await asyncio.sleep(self.swap_seconds)
                seconds = slowness * (self.per_batch + self.per_credit * credits) * chance.uniform(0.95, 1.05)
                is_cut_off = clock() + seconds > silent
                await asyncio.sleep(leaves - clock() if is_cut_off else seconds)
                if is_cut_off:
                    throughput.end()
                    for job in batch:
                        queue.put_back(job)
                    continue
                record.order += [job.job_id for job in batch]
                if self.by_speed:
                    throughput.learn(credits)
                throughput.end()
                record.drawn |= {job.job_id: clock() for job in batch}

        def cancel(job_id: int) -> None:
            if queue.remove(job_id) is not None:
                record.cancelled.add(job_id)

        for job_id, at in self.cancels.items():
            asyncio.get_running_loop().call_at(at, cancel, job_id)
        drawing = [
            asyncio.create_task(draw(number, slowness, throughput))
            for number, (slowness, throughput) in enumerate(zip(self.slowness, throughputs, strict=True))
        ]
        for job_id, ask in enumerate(self.asks):
            await asyncio.sleep(ask.at - clock())
            record.asked[job_id] = clock()
            queue.put(
                QueuedJob(job_id, ask.user_id, float(ask.credits), ask.credits, ask.model, (ask.model,), tokens=1)
            )
            if (seconds := forecast.seconds_until_drawn(job_id)) is not None:
                record.predicted[job_id] = seconds
        while len(record.drawn) + len(record.cancelled) < len(self.asks):
            await asyncio.sleep(1)
        queue.close()
        await asyncio.gather(*drawing)
        return record


class _VirtualSelector(selectors.SelectSelector):
    """Instead of waiting, it says how long it would have waited."""

    waited = 0.0
    selects_at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for nothing"
        self.selects_at_once = 0 if timeout else self.selects_at_once + 1
        assert self.selects_at_once < MAX_SELECTS_AT_ONCE, "the clock stands still"
        self.waited += timeout
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.waited


def in_virtual_time(run: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a loop whose clock jumps to the next thing that is due."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(run())
