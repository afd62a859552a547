"""A bot that walks jobs through their states as fast as it can and says what it was told is done, until it is killed.

Run as `busy_bot.py URL SEED`. Each line is an event and the id of its job, written after the commit.
"""

import asyncio
import random
import sys
from collections.abc import Awaitable

from storage.database import Database
from storage.jobs import Jobs
from tests.storage.requests import ALICE, CHANNEL, MESSAGE, UNLIMITED, an_image, an_imagine


async def work(url: str, seed: int) -> None:
    print("opening", flush=True)
    database = await Database.open(url)
    await database.jobs.requeue_interrupted()
    print("ready", flush=True)
    chance = random.Random(seed)
    await asyncio.gather(*(walk(database.jobs, chance, seed * 1_000_000 + lane * 10_000) for lane in range(3)))


async def walk(jobs: Jobs, chance: random.Random, first_interaction: int) -> None:
    for interaction_id in range(first_interaction, first_interaction + 10_000):
        verdict = await jobs.accept(an_imagine(interaction_id=interaction_id), UNLIMITED)
        job_id = verdict.job.id  # type: ignore[union-attr]
        print("accepted", job_id, flush=True)
        file = chance.randbytes(chance.randrange(200_000))
        steps: list[tuple[str, Awaitable[object]]] = [
            ("running", jobs.start([job_id])),
            ("rendered", jobs.rendered(job_id, [an_image(0, content=file), an_image(1)])),
            ("delivered", jobs.delivered(job_id, channel_id=CHANNEL, message_id=MESSAGE, attachments={0: 1, 1: 2})),
        ]
        if chance.random() < 0.4:
            cancels = chance.random() < 0.5
            end = jobs.cancel(job_id, by=ALICE) if cancels else jobs.fail(job_id, "no memory")
            steps.insert(chance.randrange(4), ("cancelled" if cancels else "failed", end))
        for event, step in steps:
            if await step:
                print(event, job_id, flush=True)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
