"""With a damaged database the bot ends with an error and leaves the file unchanged."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bot.sandbox import FakeDiscord
from storage.database import Database
from tests.end_to_end.bot_process import ANIMA_RUN, ROOT, TIMEOUT, settings_for


async def test_a_damaged_database_is_not_touched(tmp_path: Path) -> None:
    await (await Database.open(f"sqlite:///{tmp_path}/anima.db")).close()
    file = tmp_path / "anima.db"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 :] = os.urandom(len(content) - len(content) // 2)
    file.write_bytes(content)
    async with FakeDiscord() as discord:
        bot = await asyncio.create_subprocess_exec(
            sys.executable,
            *ANIMA_RUN,
            cwd=tmp_path,
            env={**os.environ, **settings_for(discord, tmp_path), "PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(bot.communicate(), TIMEOUT)
    assert bot.returncode == 1
    assert "anima.db is damaged" in said.decode() and "left unchanged" in said.decode()
    assert "Traceback" not in said.decode()
    assert file.read_bytes() == content
