"""The log never contains the token, the database's password or prompts."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest

from bot.jobs import engines
from bot.sandbox import FakeDiscord
from inference import InvalidRequest
from inference.process import EngineFailed
from storage.schema import JobState
from tests.bot.conftest import stage, standin
from tests.bot.harness import Stage
from tests.end_to_end.bot_process import ROOT, TIMEOUT, settings_for

__all__ = ["stage", "standin"]

PROMPT, NEGATIVE, PASSWORD, TOKEN = "veryprivatewish", "veryprivatedislike", "hunter2password", "wrong.token.value"


async def said_by(folder: Path, **environment: str) -> str:
    """The output of `anima run` until it ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "run"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    assert process.returncode not in (0, None)
    return said.decode()


async def test_the_log_contains_no_secret_and_no_prompt(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.05)
    caplog.set_level(logging.INFO)
    stage.engine.deadly = "deadly"
    await stage.draw(PROMPT, negative=NEGATIVE)
    for error in (InvalidRequest("steps: too many"), EngineFailed("RuntimeError: out of memory")):
        stage.engine.errors = [error, error]
        await stage.in_state((await stage.ask(f"{PROMPT} again", negative=NEGATIVE)).id, JobState.FAILED)
    await stage.in_state((await stage.ask(f"{PROMPT} deadly")).id, JobState.FAILED)
    await stage.in_state((await stage.ask(f"{PROMPT}, @artist", private=True)).id, JobState.DELIVERED)
    await stage.slash("imagine", prompt=f"{PROMPT} nude, child")
    await stage.slash("imagine", prompt=PROMPT, lora=PROMPT)
    stage.discord.faults.answer("PATCH", "^/(channels|webhooks)/", 500, times=2)
    await stage.draw(f"{PROMPT} once more")
    await stage.restart()
    await stage.draw(PROMPT)
    assert PROMPT not in caplog.text and NEGATIVE not in caplog.text
    assert stage.discord.token not in caplog.text
    tokens = {job.interaction_token for n in range(1, 9) if (job := await stage.database.jobs.get(n)) is not None}
    assert not any(token and token in caplog.text for token in tokens)
    said = "".join(event.message.text for event in stage.discord.events.history if event.message is not None)
    assert stage.discord.token not in said and "sqlite:///" not in said and str(stage.models) not in said


async def test_a_wrong_token_is_not_repeated(tmp_path: Path) -> None:
    async with FakeDiscord() as discord:
        said = await said_by(tmp_path, **{**settings_for(discord, tmp_path), "DISCORD_TOKEN": TOKEN})
    assert "DISCORD_TOKEN" in said and TOKEN not in said


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://bot:{PASSWORD}@127.0.0.1:1/anima",
        f"mysql://bot:{PASSWORD}@127.0.0.1/anima",
        f"postgresql://bot:{PASSWORD}@[::1/anima",
    ],
)
async def test_a_database_that_does_not_open_does_not_tell_its_password(tmp_path: Path, address: str) -> None:
    async with FakeDiscord() as discord:
        said = await said_by(tmp_path, **{**settings_for(discord, tmp_path), "DATABASE_URL": address})
    assert said and PASSWORD not in said


async def test_a_setting_that_is_wrong_is_named_without_its_neighbours(tmp_path: Path) -> None:
    async with FakeDiscord() as discord:
        wrong = {"DISCORD_TOKEN": TOKEN, "ANIMA_LARGEST_BATCH": "many", "ANIMA_DTYPE": "int4"}
        said = await said_by(tmp_path, **{**settings_for(discord, tmp_path), **wrong})
    assert "ANIMA_LARGEST_BATCH" in said and "ANIMA_DTYPE" in said and TOKEN not in said
