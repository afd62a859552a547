"""SIGKILL in a storm of commits, again and again: `python -m tests.soak.commits --kills 200`.

What was said to be done is done, and nothing is half done.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from storage.database import Database
from storage.jobs import LIVE
from tests.storage import busy_bot
from tests.storage.rules import broken_rules

ROOT = Path(__file__).parents[2]


def begin(url: str, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, busy_bot.__file__, url, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def kill(bot: subprocess.Popen[str]) -> list[str]:
    """What it still had to say."""
    bot.send_signal(signal.SIGKILL)
    said, _ = bot.communicate()
    assert bot.returncode == -signal.SIGKILL
    return said.splitlines()


async def storm(url: str, kills: int) -> list[str]:
    """Kills so many bots over one database, and returns what they said was done.

    Looks after each at what it said, and in the end at all of it.
    """
    chance = random.Random()
    said: list[str] = []
    for seed in range(kills):
        bot = begin(url, seed)
        assert bot.stdout is not None
        assert [bot.stdout.readline() for _ in range(2)] == ["opening\n", "ready\n"]
        lately = [bot.stdout.readline().strip() for _ in range(chance.randrange(10, 50))]
        time.sleep(chance.uniform(0, 0.01))
        lately += kill(bot)
        await check(url, lately)
        said += lately
    await check(url, said)
    return said


async def check(url: str, said: list[str]) -> None:
    database = await Database.open(url)
    assert await broken_rules(database) == []
    for line in said:
        event, job_id = line.split()
        job = await database.jobs.get(int(job_id))
        assert job is not None, f"{line}, but the job is lost"
        if event in ("delivered", "cancelled", "failed"):
            assert job.state == event
        if event == "rendered" and job.state in LIVE:
            assert job.state == "rendered"
            assert len(await database.images.renders(job.id)) == 2
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        said = asyncio.run(storm(f"sqlite:///{folder}/anima.db", options.kills))
    print(f"{options.kills} kills, {len(said)} commits that were told, none of them lost, no rule broken:")
    print(dict(Counter(line.split()[0] for line in said)))


if __name__ == "__main__":
    main()
