"""Kills a bot many times while it commits: `python -m tests.soak.commits --kills 200`.

Every reported commit must be there, and no transaction may be half done.
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


def start(url: str, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, busy_bot.__file__, url, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def kill(bot: subprocess.Popen[str]) -> list[str]:
    """Kill it, and return the rest of its output."""
    bot.send_signal(signal.SIGKILL)
    said, _ = bot.communicate()
    assert bot.returncode == -signal.SIGKILL
    return said.splitlines()


async def kill_repeatedly(url: str, kills: int) -> list[str]:
    """Kill `kills` bots on one database, and return the commits that they reported.

    Checks each bot's commits after its kill, and all of them at the end.
    """
    rng = random.Random()
    said: list[str] = []
    for seed in range(kills):
        bot = start(url, seed)
        assert bot.stdout is not None
        assert [bot.stdout.readline() for _ in range(2)] == ["opening\n", "ready\n"]
        latest = [bot.stdout.readline().strip() for _ in range(rng.randrange(10, 50))]
        time.sleep(rng.uniform(0, 0.01))
        latest += kill(bot)
        await check(url, latest)
        said += latest
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
        said = asyncio.run(kill_repeatedly(f"sqlite:///{folder}/anima.db", options.kills))
    print(f"{options.kills} kills, {len(said)} reported commits, none lost, no rule broken:")
    print(dict(Counter(line.split()[0] for line in said)))


if __name__ == "__main__":
    main()
