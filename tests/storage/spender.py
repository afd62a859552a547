"""A bot that takes all it can get. Run as `spender.py URL FIRST_INTERACTION`; prints how many jobs were accepted."""

import asyncio
import sys

from storage.database import Database
from storage.jobs import Accepted, Allowance
from tests.storage.requests import an_imagine

TRIES = 40
COST = 0.7
ALLOWANCE = Allowance(credits=20.0)
AFFORDABLE = 28


async def spend(url: str, first: int) -> None:
    database = await Database.open(url)
    print("ready", flush=True)
    sys.stdin.readline()
    verdicts = [
        await database.jobs.accept(an_imagine(interaction_id=first + number, cost=COST), ALLOWANCE)
        for number in range(TRIES)
    ]
    print(sum(isinstance(verdict, Accepted) for verdict in verdicts))
    await database.close()


if __name__ == "__main__":
    asyncio.run(spend(sys.argv[1], int(sys.argv[2])))
