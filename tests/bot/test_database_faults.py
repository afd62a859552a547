"""The database does not answer for a while: nothing in hand is lost, nothing is drawn for nothing, people are told."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.jobs.delivery import outbox
from bot.sandbox import FakeDiscord
from storage.schema import JobState
from tests.bot.harness import Stage, until
from tests.storage.rules import broken_rules

if sys.platform != "win32":
    import resource

BUSY_SECONDS = 0.3
LOCKS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def slow_acknowledgements() -> None:
    """Here the bot gives up as early as it really does."""


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("storage.backend.sqlite.BUSY_SECONDS", BUSY_SECONDS)
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.05)
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """Another process has the database to itself."""
    another = subprocess.Popen(
        [sys.executable, "-c", LOCKS, stage.database_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert another.stdout is not None and another.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        another.communicate("\n")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def in_hand(stage: Stage) -> int:
    """A job that is being drawn, and one behind it."""
    stage.engine.hold()
    first = await stage.in_state((await stage.ask("first")).id, JobState.RUNNING)
    await stage.ask("second", stage.bob)
    return first.id


async def all_is_well(stage: Stage) -> None:
    jobs = [await stage.in_state(job_id, JobState.DELIVERED) for job_id in (1, 2)]
    pictures = [message for message in stage.discord.messages_in(stage.general) if message.shown]
    assert sorted(message.id for message in pictures) == sorted(job.message_id for job in jobs)
    assert [job.attempts for job in jobs] == [1, 1]
    assert await broken_rules(stage.database) == []


@pytest.mark.parametrize("seconds", [0.1, 5 * BUSY_SECONDS])
async def test_a_locked_database_is_waited_for(stage: Stage, seconds: float) -> None:
    await in_hand(stage)
    with locked(stage):
        stage.engine.let_go()
        await asyncio.sleep(seconds)
    await all_is_well(stage)


async def test_images_posted_while_it_is_locked_are_recorded_afterwards(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_UNEXPECTED_ERRORS", 1)  # a locked database is none
    await in_hand(stage)
    posting = stage.discord.faults.hold("PATCH", "^/(channels|webhooks)/", times=2, file="anima-")

    async def both_held() -> bool:
        return posting.hits == 2

    stage.engine.let_go()
    await until(both_held)
    with locked(stage):
        posting.release()
        await asyncio.sleep(5 * BUSY_SECONDS)
    await all_is_well(stage)


async def test_the_user_of_a_command_that_finds_it_locked_is_notified(stage: Stage) -> None:
    await in_hand(stage)
    with locked(stage):
        interaction = await stage.slash("imagine", prompt="third")
        told = await interaction.response()
        assert "database isn't available right now" in told.content and told.is_ephemeral
    stage.engine.let_go()
    await all_is_well(stage)
    assert await stage.database.jobs.by_interaction(interaction.id) is None


@pytest.mark.posix
async def test_a_full_disk_keeps_pictures_waiting_until_there_is_room_and_commands_say_so(stage: Stage) -> None:
    job_id = await in_hand(stage)
    with full_disk():
        with pytest.raises(sqlite3.OperationalError):
            sqlite3.connect(stage.database_file).execute("CREATE TABLE proof (that INTEGER)")
        stage.engine.let_go()
        await asyncio.sleep(0.5)
        job = await stage.database.jobs.get(job_id)
        assert job is not None and job.state is JobState.RUNNING
        interaction = await stage.slash("imagine", prompt="third")
        assert "database isn't available right now" in (await interaction.response()).content
    await all_is_well(stage)
    assert await stage.database.jobs.by_interaction(interaction.id) is None


async def test_settings_of_one_server_that_cannot_be_read_keep_the_bot_from_no_other(stage: Stage) -> None:
    await stage.database.servers.change(stage.general.guild.id + 1, {"defaults": {"private": 7}}, by=stage.bob.id)
    await stage.restart()
    await stage.draw("1girl")
