"""Times the database's queries with a year of a busy server: `python -m storage.benchmark`.

Fills a new database with a million images by 2,000 users, of whom the most active one has about a tenth, and prints the
median and the slowest time of each query, in milliseconds. `--database` names an empty database, on SQLite or
PostgreSQL, and keeps it for the next run.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import func, insert, select, text

from storage.backend.clock import utc_now
from storage.database import Database
from storage.images import NewImage
from storage.jobs import Accepted, Allowance, NewJob
from storage.quotas import Account
from storage.schema import ChargeState, JobState, charges, jobs, pictures

YEAR = timedelta(days=365)
GUILD = 1
USERS = 2000
BUSIEST, TYPICAL = 1, USERS // 2
IMAGES_PER_JOB = 2
JOBS_PER_TRANSACTION = 5000
REPEATS = 40

#: About as large as a PNG of one megapixel.
FILE = random.randbytes(1_500_000)

_interactions = count(time.time_ns())


async def benchmark(url: str, size: int) -> None:
    started = time.perf_counter()
    database = await Database.open(url)
    print(f"{'open':42} {time.perf_counter() - started:9.2f} s")
    if await count_images(database) < size:
        started = time.perf_counter()
        await fill(database, size // IMAGES_PER_JOB)
        await settle(database)
        print(f"{'fill':42} {time.perf_counter() - started:9.2f} s")
        await database.close()
        started = time.perf_counter()
        database = await Database.open(url)
        print(f"{'open, full':42} {time.perf_counter() - started:9.2f} s")
    print(f"{await count_images(database):,} images\n{'':42} {'median':>9} {'slowest':>9} ms")
    for name, query in queries(database).items():
        await report(name, query)
    await end_unfinished(database)
    await database.close()


def queries(database: Database) -> dict[str, Callable[[], Awaitable[Any]]]:
    history = database.images.history
    quotas = database.quotas
    day = timedelta(days=1)
    return {
        "history, most active": lambda: history(BUSIEST),
        "history, typical": lambda: history(TYPICAL),
        "history, most active, random page": lambda: history(BUSIEST, before=random.randrange(1, 10**6)),
        "history, most active, previous page": lambda: history(BUSIEST, after=random.randrange(1, 10**6)),
        "history, most active, a word of every prompt": lambda: history(BUSIEST, words="1girl"),
        "history, typical, a word of every prompt": lambda: history(TYPICAL, words="1girl"),
        "history, most active, two common words": lambda: history(BUSIEST, words="tag3 tag5"),
        "history, typical, two common words": lambda: history(TYPICAL, words="tag3 tag5"),
        "history, most active, two rare words": lambda: history(BUSIEST, words="tag1900 tag1950"),
        "history, most active, an unknown word": lambda: history(BUSIEST, words="unknown"),
        "quota, most active": lambda: quotas.usage(Account(BUSIEST, GUILD)),
        "quota, typical": lambda: quotas.usage(Account(TYPICAL, GUILD)),
        "usage of the last 6 hours": lambda: quotas.spent_lately(timedelta(hours=6)),
        "statistics of a week": lambda: database.jobs.statistics(utc_now() - 7 * day, GUILD),
        "accept a job": lambda: accept(database),
        "accept, start, render, deliver 1.5 MB": lambda: run_job(database),
        "requeue at start": database.jobs.requeue_interrupted,
    }


async def report(name: str, query: Callable[[], Awaitable[Any]]) -> None:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        await query()
        times.append((time.perf_counter() - started) * 1000)
    print(f"{name:42} {median(times):9.2f} {max(times):9.2f}", flush=True)


async def accept(database: Database) -> int:
    new = NewJob(
        interaction_id=next(_interactions),
        user_id=random.randrange(USERS, 2 * USERS),
        guild_id=GUILD,
        channel_id=1,
        kind="imagine",
        cost=1.0,
        prompt="1girl, red hair",
    )
    verdict = await database.jobs.accept(new, Allowance(credits=1000.0, waiting=1000))
    assert isinstance(verdict, Accepted)
    return verdict.job.id


async def run_job(database: Database) -> None:
    job_id = await accept(database)
    image = NewImage(
        index=0, prompt="1girl, red hair", seed=1, width=1024, height=1024, file_name="1.png", content=FILE
    )
    await database.jobs.start([job_id])
    await database.jobs.rendered(job_id, [image])
    await database.jobs.delivered(job_id, channel_id=1, message_id=job_id, attachments={0: job_id})


async def end_unfinished(database: Database) -> None:
    """A bot that opens the database afterwards would try to draw the jobs that were only accepted."""
    for job in await database.jobs.cancel_everywhere("The benchmark has ended."):
        await database.jobs.mark_notified(job.id)


async def count_images(database: Database) -> int:
    async with database.transactions.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(pictures)) or 0


async def fill(database: Database, size: int) -> None:
    """Insert a year of delivered jobs, evenly distributed."""
    rng = random.Random(1)
    start, step = utc_now() - YEAR, YEAR / size
    transactions = database.unlimited_transactions()
    for first in range(1, size + 1, JOBS_PER_TRANSACTION):
        job_ids = range(first, min(first + JOBS_PER_TRANSACTION, size + 1))
        rows = [job_row(job_id, start + step * job_id, rng) for job_id in job_ids]
        async with transactions.writing() as connection:
            await connection.execute(insert(jobs), rows)
            await connection.execute(insert(charges), [charge_row(job) for job in rows])
            await connection.execute(
                insert(pictures), [image_row(job, index) for job in rows for index in range(IMAGES_PER_JOB)]
            )


async def settle(database: Database) -> None:
    """Do what a database that grew over a year has done by itself.

    Forgets who was charged, continues the ids after the last one (SQLite does so by itself), and updates the planner's
    statistics.
    """
    await database.privacy.forget_older_than()
    async with database.unlimited_transactions().writing() as connection:
        if not database.transactions.on_sqlite:
            await connection.execute(text("SELECT setval(pg_get_serial_sequence('jobs', 'id'), max(id)) FROM jobs"))
        await connection.execute(text("ANALYZE"))


def job_row(job_id: int, at: datetime, rng: random.Random) -> dict[str, Any]:
    return {
        "id": job_id,
        "interaction_id": job_id,
        "user_id": int(rng.paretovariate(0.15)) % USERS,
        "guild_id": GUILD,
        "channel_id": 1,
        "message_id": job_id,
        "kind": "imagine",
        "prompt": "1girl, " + ", ".join(f"tag{int(2000 ** rng.random())}" for _ in range(15)),
        "negative_prompt": "worst quality, low quality",
        "parameters": {"steps": 30, "cfg_scale": 4.5, "sampler": "er_sde"},
        "cost": 2.0,
        "private": False,
        "spoiler": False,
        "locale": "en-US",
        "state": JobState.DELIVERED,
        "attempts": 1,
        "told": True,
        "queued_at": at,
        "started_at": at,
        "rendered_at": at,
        "finished_at": at,
    }


def charge_row(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "job_id": job["id"],
        "user_id": job["user_id"],
        "guild_id": GUILD,
        "reserved": job["cost"],
        "spent": job["cost"],
        "state": ChargeState.SETTLED,
        "reserved_at": job["queued_at"],
        "closed_at": job["finished_at"],
    }


def image_row(job: dict[str, Any], index: int) -> dict[str, Any]:
    return {
        "job_id": job["id"],
        "index": index,
        "user_id": job["user_id"],
        "prompt": job["prompt"],
        "seed": job["id"],
        "width": 1024,
        "height": 1024,
        "file_name": f"{job['id']}-{index}.png",
        "metadata": f"{job['prompt']}\nNegative prompt: {job['negative_prompt']}\nSteps: 30, CFG scale: 4.5",
        "attachment_id": job["id"],
        "created_at": job["finished_at"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--database", help="an address (default: a temporary file)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.database or f"sqlite:///{Path(folder) / 'anima.db'}"
        asyncio.run(benchmark(url, arguments.pictures))


if __name__ == "__main__":
    main()
