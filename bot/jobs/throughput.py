"""How long drawing takes on this machine, learnt from the batches it has drawn, and so when a job will be ready."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import discord

from bot.jobs.queue import FairQueue, QueuedJob
from bot.messages.job import QueueStatus
from storage.jobs import Job

_BATCHES_KEPT = 64
_HALF_LIFE = 8  # batches after which one counts half
_OUTLIER = 2.0  # a batch this many times slower or faster than the median is left out


class Forecast:
    """When jobs will be ready, by the batch in hand, the line, and how fast batches were drawn."""

    def __init__(self, queue: FairQueue) -> None:
        self._queue = queue
        self._pace = Pace()
        self._batch = NO_BATCH

    def take(self, batch: Sequence[QueuedJob]) -> None:
        """The worker has a batch in hand, whose images are not started yet."""
        self._batch = BatchInHand(frozenset(job.job_id for job in batch), sum(job.cost for job in batch))

    def begin(self) -> None:
        """The engine begins with the batch in hand."""
        self._batch = replace(self._batch, started=time.perf_counter())

    def learn(self, credits: float) -> None:
        """The engine has drawn `credits` of the batch in hand."""
        self._pace.learn(credits, time.perf_counter() - self._batch.started)

    def end(self) -> None:
        """The worker has no batch in hand."""
        self._batch = NO_BATCH

    def queue_status(self, job: Job) -> QueueStatus | None:
        """Where a job stands in the queue; None if it does not wait there."""
        position = self._queue.position(job.id)
        if position is None:
            return None
        seconds = self.seconds_until_drawn(job)
        ready_at = None if seconds is None else discord.utils.utcnow() + timedelta(seconds=seconds)
        return QueueStatus(position.jobs_ahead, ready_at)

    def seconds_until_drawn(self, job: Job) -> float | None:
        """About how long a live job still takes. None: nothing was drawn yet to judge by, or nobody waits for it."""
        left = self._batch.seconds_left(self._pace, time.perf_counter())
        if job.id in self._batch.job_ids:
            return left
        position = self._queue.position(job.id)
        wait = self._pace.estimate(position.credits_ahead + job.cost) if position is not None else None
        return None if left is None or wait is None else left + wait


@dataclass(frozen=True)
class BatchInHand:
    """What the worker has in hand; `started` is when the engine began with it (`time.perf_counter`)."""

    job_ids: frozenset[int]
    credits: float
    started: float = math.inf

    def seconds_left(self, pace: Pace, now: float) -> float | None:
        if not self.job_ids:
            return 0.0
        whole = pace.estimate(self.credits)
        return None if whole is None else max(0.0, whole - max(0.0, now - self.started))


NO_BATCH = BatchInHand(frozenset(), 0.0)


@dataclass(frozen=True)
class _MeasuredBatch:
    credits: float
    seconds: float

    @property
    def rate(self) -> float:
        return self.seconds / self.credits


class Pace:
    """Seconds per credit: the total time of recent batches over their total credits, newer batches counting more.

    A batch whose rate is far from the weighted median (the first after a start, one that hung) is left out, so one
    outlier among several moves nothing, while a lasting change wins once it holds the weight of the majority.
    """

    def __init__(self) -> None:
        self._batches: deque[_MeasuredBatch] = deque(maxlen=_BATCHES_KEPT)
        self._seconds_per_credit: float | None = None

    def learn(self, credits: float, seconds: float) -> None:
        """A batch of so many credits took so many seconds. Raises ValueError unless both are above zero."""
        if not (0 < credits < math.inf and 0 < seconds < math.inf):
            raise ValueError(f"A batch of {credits} credits in {seconds} seconds; both must be above zero.")
        self._batches.appendleft(_MeasuredBatch(credits, seconds))
        self._seconds_per_credit = self._typical_rate()

    def estimate(self, credits: float) -> float | None:
        """Seconds that `credits` of work will take. None: nothing was drawn yet, so nobody knows."""
        return None if self._seconds_per_credit is None else credits * self._seconds_per_credit

    def _typical_rate(self) -> float:
        weighted = [(batch, 0.5 ** (age / _HALF_LIFE)) for age, batch in enumerate(self._batches)]
        median = _weighted_median([(batch.rate, weight * batch.credits) for batch, weight in weighted])
        typical = [(batch, weight) for batch, weight in weighted if 1 / _OUTLIER <= batch.rate / median <= _OUTLIER]
        seconds = math.fsum(weight * batch.seconds for batch, weight in typical)
        return seconds / math.fsum(weight * batch.credits for batch, weight in typical)


def _weighted_median(values: list[tuple[float, float]]) -> float:
    """The least value at which half of the weight is reached, of pairs (value, weight)."""
    half = math.fsum(weight for _, weight in values) / 2
    reached = 0.0
    for value, weight in sorted(values):
        reached += weight
        if reached >= half:
            return value
    return max(value for value, _ in values)
