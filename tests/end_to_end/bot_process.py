"""A real bot in a process of its own, to be pointed at the stand-in and killed."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bot.ops.settings import MINIATURE
from bot.sandbox import FakeDiscord

ROOT = Path(__file__).parent.parent.parent
OPENAPI = ROOT.parent / "shared" / "discord" / "openapi.json"
TIMEOUT = 120.0
ANIMA_RUN = ("-m", "bot", "run")
#: The same with an engine that only pretends to draw.
PRETENDING = ("-m", "tests.soak.fake_engine_bot")


def openapi() -> Path | None:
    """Discord's own API document, where it is present; the stand-in's own rules hold without it."""
    return OPENAPI if OPENAPI.is_file() else None


def settings_for(discord: FakeDiscord, folder: Path) -> dict[str, str]:
    """What points a bot at the stand-in, at a database in `folder` and at the miniature."""
    return {
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_URL": discord.api_url,
        "DISCORD_GATEWAY_URL": discord.gateway_url,
        "DATABASE_URL": f"sqlite:///{folder}/anima.db",
        "ANIMA_MODELS": str(MINIATURE),
    }


@asynccontextmanager
async def bot_process(
    discord: FakeDiscord, folder: Path, command: Sequence[str] = ANIMA_RUN, **environment: str
) -> AsyncIterator[Process]:
    """Run `anima run` in `folder` against the stand-in, ready for commands; killed at the end."""
    settings = {**settings_for(discord, folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder, env={**os.environ, **settings, **environment}
    )
    ended = asyncio.create_task(process.wait())
    ready = asyncio.create_task(discord.wait_until_ready(TIMEOUT))
    try:
        await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
        assert not ended.done(), f"the bot ended with exit code {process.returncode} before it was ready"
        await ready
        yield process
    finally:
        ready.cancel()
        with suppress(ProcessLookupError):
            process.kill()
        await ended
