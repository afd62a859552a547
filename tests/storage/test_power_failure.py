"""kill -9 in the middle of commits: what was said to be done is done, and nothing is half done."""

import random
import time

import pytest

from storage.database import Database
from tests.soak.commits import kill, kill_repeatedly, start
from tests.storage.rules import broken_rules

pytestmark = pytest.mark.posix

KILLS = 5


async def test_a_kill_at_any_moment_loses_nothing_that_was_committed_and_leaves_no_half(sqlite_url):
    said = await kill_repeatedly(sqlite_url, KILLS)
    assert {"delivered", "cancelled", "failed"} <= {line.split()[0] for line in said}


async def test_a_kill_while_the_tables_are_made_leaves_a_file_that_opens(sqlite_url, sqlite_file):
    chance = random.Random()
    for seed in range(4):
        bot = start(sqlite_url, seed)
        assert bot.stdout.readline() == "opening\n"
        time.sleep(chance.uniform(0, 0.06))
        kill(bot)
        database = await Database.open(sqlite_url)
        assert await broken_rules(database) == []
        await database.close()
        for file in sqlite_file.parent.glob(f"{sqlite_file.name}*"):
            file.unlink()
