"""The real bot as a process, connected to the fake Discord."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bot.ops.settings import MINIATURE
from bot.sandbox import FakeDiscord
from tests.migrated_database import put_migrated_database

ROOT = Path(__file__).parent.parent.parent
OPENAPI = ROOT.parent / "shared" / "discord" / "openapi.json"
#: Seconds; long, because the machine may be busy.
TIMEOUT = 120.0
ANIMA_RUN = ("-m", "bot", "run")
#: The same for tests, and with a fake engine.
PATIENT_BOT = ("-m", "tests.end_to_end.patient_bot")
FAKE_ENGINE_BOT = ("-m", "tests.soak.fake_engine_bot")


def openapi() -> Path | None:
    """Discord's own API document, if it is present. The fake Discord checks requests by its own rules too."""
    return OPENAPI if OPENAPI.is_file() else None


def settings_for(discord: FakeDiscord, folder: Path) -> dict[str, str]:
    """The variables for a bot with the fake Discord, a database in `folder` and the miniature model."""
    return {
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_URL": discord.api_url,
        "DISCORD_GATEWAY_URL": discord.gateway_url,
        "DATABASE_URL": f"sqlite:///{folder}/anima.db",
        "ANIMA_MODELS": str(MINIATURE),
    }


@asynccontextmanager
async def bot_process(
    discord: FakeDiscord, folder: Path, command: Sequence[str] = PATIENT_BOT, **environment: str
) -> AsyncIterator[Process]:
    """Run `anima run` in `folder` with the fake Discord until it is ready; kill it at the end.

    Its database is of this version already. The sandbox's tests, and those of failed starts, begin with none.
    """
    await put_migrated_database(folder / "anima.db")
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
