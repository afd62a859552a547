"""kill -9 in the middle of commits: what was said to be done is done, and nothing is half done."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from storage.database import Database
from storage.jobs import LIVE
from tests.storage import busy_bot
from tests.storage.rules import broken_rules

ROOT = Path(__file__).parents[2]
KILLS = 5


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


async def test_a_kill_at_any_moment_loses_nothing_that_was_committed_and_leaves_no_half(sqlite_url):
    chance = random.Random()
    said: list[str] = []
    for seed in range(KILLS):
        bot = begin(sqlite_url, seed)
        assert [bot.stdout.readline() for _ in range(2)] == ["opening\n", "ready\n"]
        said += [bot.stdout.readline() for _ in range(chance.randrange(10, 50))]
        time.sleep(chance.uniform(0, 0.01))
        said += kill(bot)

        database = await Database.open(sqlite_url)
        assert await broken_rules(database) == []
        for line in said:
            event, job_id = line.split()
            job = await database.jobs.get(int(job_id))
            assert job is not None, f"{line}, but the job is lost"
            if event in ("delivered", "cancelled", "failed"):
                assert job.state == event
            if event == "rendered" and job.state in LIVE:
                assert job.state == "rendered"
                assert len(await database.pictures.renders(job.id)) == 2
        await database.close()
    assert {"delivered", "cancelled", "failed"} <= {line.split()[0] for line in said}


async def test_a_kill_while_the_tables_are_made_leaves_a_file_that_opens(sqlite_url, sqlite_file):
    chance = random.Random()
    for seed in range(4):
        bot = begin(sqlite_url, seed)
        assert bot.stdout.readline() == "opening\n"
        time.sleep(chance.uniform(0, 0.06))
        kill(bot)
        database = await Database.open(sqlite_url)
        assert await broken_rules(database) == []
        await database.close()
        for file in sqlite_file.parent.glob(f"{sqlite_file.name}*"):
            file.unlink()
