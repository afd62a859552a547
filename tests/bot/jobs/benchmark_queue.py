"""How long each operation of the queue takes with 100,000 waiting jobs. `python -m tests.bot.jobs.benchmark_queue`

Prints milliseconds (median and 99th percentile) for 500, 5,000 and 20,000 users, and for a single one: by the clock on
the wall, and of processor time, which other programs on the machine do not blur.
"""

import asyncio
import gc
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from time import perf_counter, thread_time

from bot.jobs.queue import FairQueue, QueuedJob

JOBS = 100_000
ROUNDS = 2_000
MAX_BATCH = 4


class OperationTimings:
    def __init__(self) -> None:
        self._wall: defaultdict[str, list[float]] = defaultdict(list)
        self._processor: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def of(self, operation: str) -> Iterator[None]:
        wall, processor = perf_counter(), thread_time()
        yield
        self._processor[operation].append(thread_time() - processor)
        self._wall[operation].append(perf_counter() - wall)

    def print(self) -> None:
        for operation, wall in self._wall.items():
            processor = self._processor[operation]
            print(f"  {operation:<12}{len(wall):>8} times   wall {_spread(wall)}   cpu {_spread(processor)}")


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    median, p99 = (1000 * ordered[len(ordered) * percent // 100] for percent in (50, 99))
    return f"median {median:.4f} p99 {p99:.4f}"


def a_job(job_id: int, users: int, random_source: random.Random) -> QueuedJob:
    return QueuedJob(
        job_id=job_id,
        user_id=random_source.randrange(users),
        cost=random_source.choice((0.25, 1.0, 1.0, 1.7, 4.0)),
        images=random_source.randint(1, MAX_BATCH),
        batch_key=random_source.randrange(3),
    )


async def measure(users: int) -> OperationTimings:
    """Fills the line, then does everything to it in turn, so that it stays as full as it is."""
    random_source = random.Random(1)
    timings = OperationTimings()
    queue = FairQueue(MAX_BATCH)
    queue.restore_usage({user: random_source.uniform(0, 60) for user in range(users)})
    job_ids = count(1)
    accepted = [a_job(next(job_ids), users, random_source) for _ in range(JOBS)]
    for job in accepted:
        with timings.of("put"):
            queue.put(job)
    gc.collect()
    for _ in range(ROUNDS):
        somewhere = random_source.choice(accepted).job_id
        with timings.of("place"):
            queue.position(somewhere)
        with timings.of("remove"):
            cancelled = queue.remove(somewhere)
        if cancelled is not None:
            with timings.of("put inside"):
                queue.put(cancelled)
        with timings.of("take"):
            batch = await queue.take()
        for job in batch:
            with timings.of("put_back"):
                queue.put_back(job)
        for _ in await queue.take():
            job = a_job(next(job_ids), users, random_source)
            with timings.of("put"):
                queue.put(job)
    return timings


def main() -> None:
    for users, whose in ((500, "500 users"), (5000, "5,000 users"), (20_000, "20,000 users"), (1, "one user")):
        print(f"{JOBS:,} waiting jobs of {whose}, milliseconds:")
        asyncio.run(measure(users)).print()


if __name__ == "__main__":
    main()
