"""A second bot on the same database ends with an error."""

import asyncio
import os
import sys
from pathlib import Path

from bot.sandbox import FakeDiscord
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, ROOT, TIMEOUT, bot_process, settings_for


async def test_a_second_bot_on_one_database_says_so_and_ends(tmp_path: Path) -> None:
    async with FakeDiscord() as discord, FakeDiscord() as elsewhere, bot_process(discord, tmp_path, FAKE_ENGINE_BOT):
        second = await asyncio.create_subprocess_exec(
            sys.executable,
            *FAKE_ENGINE_BOT,
            cwd=tmp_path,
            env={**os.environ, **settings_for(elsewhere, tmp_path), "PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(second.communicate(), TIMEOUT)
        assert second.returncode == 1
        assert b"Another Anima Bot is already using this database" in said
        assert b"Traceback" not in said
