"""Measures how fast each engine draws, and estimates when a job will be done."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import discord

from bot.jobs.queue import Consumer, FairQueue, QueuedJob, QueuePosition
from bot.messages.job import QueueStatus
from storage.jobs import Job

_MAX_BATCHES = 64
_HALF_LIFE = 8  # a batch counts half after this many newer ones
_MAX_SWAPS = 16  # recent batches that show how often models are swapped, and how long that takes
_OUTLIER = 2.0  # a batch this many times slower or faster than the median is left out


class Forecast:
    """Estimates when jobs will be ready from the running batches, the queue, and how fast each engine has drawn."""

    def __init__(
        self,
        queue: FairQueue,
        engines: Callable[[], Sequence[Throughput]],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`engines` returns those that currently draw."""
        self._queue = queue
        self._engines = engines
        self._clock = clock

    def queue_status(self, job: Job) -> QueueStatus | None:
        """A job's position in the queue; None if it is not queued."""
        position = self._queue.position(job.id)
        if position is None:
            return None
        seconds = self._seconds(job.id, lambda: position)
        ready_at = None if seconds is None else discord.utils.utcnow() + timedelta(seconds=seconds)
        return QueueStatus(position.jobs_ahead, ready_at)

    def seconds_until_drawn(self, job_id: int) -> float | None:
        """About how long an unfinished job still takes. None: nothing was drawn yet, or the job is unknown."""
        return self._seconds(job_id, lambda: self._queue.position(job_id))

    def _seconds(self, job_id: int, find_position: Callable[[], QueuePosition | None]) -> float | None:
        """`find_position` takes longer than everything else here."""
        engines, now = self._engines(), self._clock()
        typical = typical_pace(engines)
        if typical is None:
            return None
        for engine in engines:
            if job_id in engine.batch.job_ids:
                return engine.seconds_left(typical, now)
        position, waiting = find_position(), self._queue.get(job_id)
        if position is None or waiting is None:
            return None
        stretches = [(engine.seconds_left(typical, now), engine.consumer(typical)) for engine in engines]
        due = seconds_until_taken(
            position.credits_ahead,
            [
                (free_in, consumer.seconds_per_credit + engine.swap_seconds_per_credit)
                for engine, (free_in, consumer) in zip(engines, stretches, strict=True)
            ],
        )
        # The engine that is free first by then takes it; of several free engines, the fastest.
        return sum(min((max(due, free_in), engine.seconds_for(waiting)) for free_in, engine in stretches))


def typical_pace(engines: Iterable[Throughput]) -> float | None:
    """The median seconds per credit, used for engines that have drawn nothing yet; None if no engine has drawn."""
    known = [engine.pace.seconds_per_credit for engine in engines if engine.pace.seconds_per_credit is not None]
    return statistics.median(known) if known else None


def seconds_until_taken(credits: float, engines: Sequence[tuple[float, float]]) -> float:
    """In how many seconds the engines will have taken `credits` from the queue.

    engines: for each, the seconds until it is free, and its seconds per credit.
    """
    at = given = rate = 0.0
    for free_in, seconds_per_credit in sorted(engines):
        if rate and given + (free_in - at) * rate >= credits:
            break
        given += (free_in - at) * rate
        at, rate = free_in, rate + 1 / seconds_per_credit
    return at + (credits - given) / rate


@dataclass(frozen=True)
class CurrentBatch:
    """An engine's current batch; `started` is when it began, by the clock of its `Throughput`."""

    job_ids: frozenset[int]
    credits: float
    #: How many models it loads first.
    swaps: int = 0
    started: float = math.inf


NO_BATCH = CurrentBatch(frozenset(), 0.0)


class Throughput:
    """How fast one engine draws, and its current batch."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.pace = Pace()
        self.batch = NO_BATCH
        #: The models that the engine has loaded; None: any that a job needs.
        self.loaded: frozenset[str] | None = None
        #: See `EngineDescription.full_pass`.
        self.full_pass: int | None = None
        self._swaps: deque[float] = deque(maxlen=_MAX_SWAPS)  # seconds that each took
        self._lately: deque[tuple[float, int]] = deque(maxlen=_MAX_SWAPS)  # credits and swaps of batches

    def take(self, batch: Sequence[QueuedJob]) -> None:
        """The engine has a batch, whose images are not started yet."""
        swaps = max(map(self.consumer(None).swaps_for, batch))
        self.batch = CurrentBatch(frozenset(job.job_id for job in batch), sum(job.cost for job in batch), swaps)

    def begin(self) -> None:
        """The engine starts its current batch."""
        self.batch = replace(self.batch, started=self._clock())

    def learn(self, credits: float) -> None:
        """The engine has drawn `credits` of its current batch."""
        seconds, swaps = self._clock() - self.batch.started, self.batch.swaps
        self._lately.append((credits, swaps))
        drawing = self.pace.estimate(credits)
        if not swaps or drawing is None:
            self.pace.learn(credits, seconds)
        else:
            self._swaps.append(max(0.0, seconds - drawing) / swaps)

    @property
    def swap_seconds(self) -> float:
        """How long loading another model takes; 0 until that is known."""
        return statistics.median(self._swaps) if self._swaps else 0.0

    @property
    def swap_seconds_per_credit(self) -> float:
        """Seconds recently spent on swaps, per credit drawn."""
        credits = math.fsum(credits for credits, _ in self._lately)
        return self.swap_seconds * sum(swaps for _, swaps in self._lately) / credits if credits else 0.0

    def end(self) -> None:
        """The engine has no batch."""
        self.batch = NO_BATCH

    def consumer(self, typical: float | None) -> Consumer:
        """`typical`: seconds per credit of an engine that has drawn nothing yet."""
        own = self.pace.seconds_per_credit
        return Consumer(own if own is not None else typical or 0.0, self.loaded, self.swap_seconds, self.full_pass)

    def seconds_left(self, typical: float, now: float) -> float:
        """Seconds until it has drawn its current batch."""
        if not self.batch.job_ids:
            return 0.0
        drawing = self.batch.credits * self.consumer(typical).seconds_per_credit
        whole = drawing + self.batch.swaps * self.swap_seconds
        return max(0.0, whole - max(0.0, now - self.batch.started))


@dataclass(frozen=True)
class _MeasuredBatch:
    credits: float
    seconds: float

    @property
    def rate(self) -> float:
        return self.seconds / self.credits


class Pace:
    """Seconds per credit: the total time of recent batches over their total credits, newer batches counting more.

    A batch whose rate is far from the weighted median (the first after a start, one that hung) is left out. So a single
    outlier changes nothing, and a lasting change takes effect once it has most of the weight.
    """

    def __init__(self) -> None:
        self._batches: deque[_MeasuredBatch] = deque(maxlen=_MAX_BATCHES)
        #: None: nothing was drawn yet.
        self.seconds_per_credit: float | None = None

    def learn(self, credits: float, seconds: float) -> None:
        """Record that a batch of `credits` took `seconds`. Raises ValueError unless both are above zero."""
        if not (0 < credits < math.inf and 0 < seconds < math.inf):
            raise ValueError(f"A batch of {credits} credits in {seconds} seconds; both must be above zero.")
        self._batches.appendleft(_MeasuredBatch(credits, seconds))
        self.seconds_per_credit = self._typical_rate()

    def estimate(self, credits: float) -> float | None:
        """Seconds that `credits` of work will take. None: nothing was drawn yet."""
        return None if self.seconds_per_credit is None else credits * self.seconds_per_credit

    def _typical_rate(self) -> float:
        weighted = [(batch, 0.5 ** (age / _HALF_LIFE)) for age, batch in enumerate(self._batches)]
        median = _weighted_median([(batch.rate, weight * batch.credits) for batch, weight in weighted])
        typical = [(batch, weight) for batch, weight in weighted if 1 / _OUTLIER <= batch.rate / median <= _OUTLIER]
        seconds = math.fsum(weight * batch.seconds for batch, weight in typical)
        return seconds / math.fsum(weight * batch.credits for batch, weight in typical)


def _weighted_median(values: list[tuple[float, float]]) -> float:
    """The smallest value at which half of the weight is reached. `values` are pairs (value, weight)."""
    half = math.fsum(weight for _, weight in values) / 2
    reached = 0.0
    for value, weight in sorted(values):
        reached += weight
        if reached >= half:
            return value
    return max(value for value, _ in values)
