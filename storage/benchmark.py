"""A year of a busy server, and how long its questions take: `python -m storage.benchmark`.

Fills a new database with a million pictures by 2,000 people, of whom the most eager drew about every tenth, and prints
the median and the slowest of some tries of each question, in milliseconds. `--database` keeps the year for next time.
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

from sqlalchemy import func, insert, select

from storage.backend.clock import utc_now
from storage.database import Database
from storage.images import NewImage
from storage.jobs import Accepted, Allowance, NewJob
from storage.quotas import Account
from storage.schema import ChargeState, JobState, charges, jobs, pictures

YEAR = timedelta(days=365)
GUILD = 1
PEOPLE = 2000
EAGER, USUAL = 1, PEOPLE // 2
IMAGES_PER_JOB = 2
JOBS_A_TRANSACTION = 5000
TRIES = 40

#: About as large as the PNG of a megapixel.
FILE = random.randbytes(1_500_000)

_interactions = count(time.time_ns())


async def benchmark(url: str, size: int) -> None:
    begun = time.perf_counter()
    database = await Database.open(url)
    print(f"{'open':42} {time.perf_counter() - begun:9.2f} s")
    if await kept(database) < size:
        begun = time.perf_counter()
        await fill(database, size // IMAGES_PER_JOB)
        print(f"{'fill':42} {time.perf_counter() - begun:9.2f} s")
        await database.close()
        begun = time.perf_counter()
        database = await Database.open(url)
        print(f"{'open, full':42} {time.perf_counter() - begun:9.2f} s")
    print(f"{await kept(database):,} pictures\n{'':42} {'median':>9} {'slowest':>9} ms")
    for name, question in questions(database).items():
        await report(name, question)
    await database.close()


def questions(database: Database) -> dict[str, Callable[[], Awaitable[Any]]]:
    history = database.images.history
    quotas = database.quotas
    day = timedelta(days=1)
    return {
        "history, eager": lambda: history(EAGER),
        "history, usual": lambda: history(USUAL),
        "history, eager, some page": lambda: history(EAGER, before=random.randrange(1, 10**6)),
        "history, eager, a page back": lambda: history(EAGER, after=random.randrange(1, 10**6)),
        "history, eager, a word of every prompt": lambda: history(EAGER, words="1girl"),
        "history, usual, a word of every prompt": lambda: history(USUAL, words="1girl"),
        "history, eager, two common words": lambda: history(EAGER, words="tag3 tag5"),
        "history, usual, two common words": lambda: history(USUAL, words="tag3 tag5"),
        "history, eager, two rare words": lambda: history(EAGER, words="tag1900 tag1950"),
        "history, eager, a word of nobody": lambda: history(EAGER, words="nobody"),
        "quota, eager": lambda: quotas.usage(Account(EAGER, GUILD)),
        "quota, usual": lambda: quotas.usage(Account(USUAL, GUILD)),
        "shares of the last 6 hours": lambda: quotas.spent_lately(timedelta(hours=6)),
        "statistics of a week": lambda: database.jobs.statistics(utc_now() - 7 * day, GUILD),
        "accept a job": lambda: accept(database),
        "accept, start, render, deliver 1.5 MB": lambda: walk(database),
        "back in line": database.jobs.requeue_interrupted,
    }


async def report(name: str, question: Callable[[], Awaitable[Any]]) -> None:
    times = []
    for _ in range(TRIES):
        begun = time.perf_counter()
        await question()
        times.append((time.perf_counter() - begun) * 1000)
    print(f"{name:42} {median(times):9.2f} {max(times):9.2f}", flush=True)


async def accept(database: Database) -> int:
    new = NewJob(
        interaction_id=next(_interactions),
        user_id=random.randrange(PEOPLE, 2 * PEOPLE),
        guild_id=GUILD,
        channel_id=1,
        kind="imagine",
        cost=1.0,
        prompt="1girl, red hair",
    )
    verdict = await database.jobs.accept(new, Allowance(credits=1000.0, waiting=1000))
    assert isinstance(verdict, Accepted)
    return verdict.job.id


async def walk(database: Database) -> None:
    job_id = await accept(database)
    image = NewImage(
        index=0, prompt="1girl, red hair", seed=1, width=1024, height=1024, file_name="1.png", content=FILE
    )
    await database.jobs.start([job_id])
    await database.jobs.rendered(job_id, [image])
    await database.jobs.delivered(job_id, channel_id=1, message_id=job_id, attachments={0: job_id})


async def kept(database: Database) -> int:
    async with database.transactions.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(pictures)) or 0


async def fill(database: Database, size: int) -> None:
    """A year of delivered jobs, evenly over its days."""
    chance = random.Random(1)
    start, step = utc_now() - YEAR, YEAR / size
    for first in range(1, size + 1, JOBS_A_TRANSACTION):
        job_ids = range(first, min(first + JOBS_A_TRANSACTION, size + 1))
        asked = [a_job(job_id, start + step * job_id, chance) for job_id in job_ids]
        async with database.transactions.writing() as connection:
            await connection.execute(insert(jobs), asked)
            await connection.execute(insert(charges), [a_charge(job) for job in asked])
            await connection.execute(
                insert(pictures), [an_image(job, index) for job in asked for index in range(IMAGES_PER_JOB)]
            )


def a_job(job_id: int, at: datetime, chance: random.Random) -> dict[str, Any]:
    return {
        "id": job_id,
        "interaction_id": job_id,
        "user_id": int(chance.paretovariate(0.15)) % PEOPLE,
        "guild_id": GUILD,
        "channel_id": 1,
        "message_id": job_id,
        "kind": "imagine",
        "prompt": "1girl, " + ", ".join(f"tag{int(2000 ** chance.random())}" for _ in range(15)),
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


def a_charge(job: dict[str, Any]) -> dict[str, Any]:
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


def an_image(job: dict[str, Any], index: int) -> dict[str, Any]:
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
    parser.add_argument("--database", help="an address; by default a file that is thrown away")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.database or f"sqlite:///{Path(folder) / 'anima.db'}"
        asyncio.run(benchmark(url, arguments.pictures))


if __name__ == "__main__":
    main()
