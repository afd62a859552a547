"""The bot waits inside its process for a Discord that is down at the start: a line for each try, no traceback."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.sandbox import FakeDiscord
from tests.end_to_end.bot_process import FAKE_ENGINE_BOT, TIMEOUT, settings_for
from tests.end_to_end.test_startup_errors import OWN, ROOT
from tests.ports import closed_port

pytestmark = pytest.mark.posix

UNREACHABLE = "Discord cannot be reached"
BANNED = "Discord has temporarily blocked this machine"


@pytest.fixture
async def discord() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord


class Start:
    """A starting bot and what it logs."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def outages(self, count: int, about: str = UNREACHABLE) -> None:
        """Wait until the log has this many lines about an outage."""
        while sum(line.startswith(about) for line in self.said) < count:
            await self.next_line()

    async def next_line(self) -> None:
        assert self.process.stderr is not None
        line = await asyncio.wait_for(self.process.stderr.readline(), TIMEOUT)
        assert line, f"the bot ended with exit code {self.process.returncode}: {self.said}"
        entry = json.loads(line)
        assert "error" not in entry, "a traceback"
        self.said.append(entry["message"])

    async def ready(self, discord: FakeDiscord) -> None:
        assert self.process.stderr is not None
        draining = asyncio.create_task(self.process.stderr.read())
        await discord.wait_until_ready(TIMEOUT)
        assert self.process.returncode is None
        self.process.terminate()
        assert await asyncio.wait_for(self.process.wait(), TIMEOUT) == 0
        assert b"Traceback" not in await draining


@asynccontextmanager
async def starting(folder: Path, **environment: str) -> AsyncIterator[Start]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *FAKE_ENGINE_BOT),  # no engine gets to draw, so none needs PyTorch
        cwd=folder,
        env={**OWN, "PYTHONPATH": str(ROOT), "LOG_FORMAT": "json", **environment},
        stderr=PIPE,
    )
    try:
        yield Start(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _login_fails(discord: FakeDiscord) -> None:
    discord.faults.answer("GET", "/users/@me$", 503, "<html>\n<h1>down</h1>", times=2)


def _login_is_cut(discord: FakeDiscord) -> None:
    discord.faults.drop("GET", "/users/@me$", when="before", times=4)


def _application_fails(discord: FakeDiscord) -> None:
    discord.faults.answer("GET", "applications/@me$", 503, times=2)


def _commands_fail(discord: FakeDiscord) -> None:
    discord.faults.answer("PUT", "/commands$", 503, times=2)


@pytest.mark.parametrize("break_it", [_login_fails, _login_is_cut, _application_fails, _commands_fail])
async def test_an_outage_of_the_api_is_waited_out(
    tmp_path: Path, discord: FakeDiscord, break_it: Callable[[FakeDiscord], None]
) -> None:
    break_it(discord)
    async with starting(tmp_path, **settings_for(discord, tmp_path)) as bot:
        await bot.outages(2)
        await bot.ready(discord)


async def test_an_outage_of_the_gateway_at_the_first_connection_is_waited_out(
    tmp_path: Path, discord: FakeDiscord
) -> None:
    discord.gateway.refuses_connections = True
    async with starting(tmp_path, **settings_for(discord, tmp_path)) as bot:
        await bot.outages(2)
        discord.gateway.refuses_connections = False
        await bot.ready(discord)
    assert not [line for line in bot.said if line.startswith("Attempting")], "each try has one line"


async def test_a_ban_is_waited_out_for_as_long_as_discord_asks(tmp_path: Path, discord: FakeDiscord) -> None:
    discord.faults.rate_limit("GET", "/users/@me$", 4, via=False)
    async with starting(tmp_path, **settings_for(discord, tmp_path)) as bot:
        await bot.outages(1, BANNED)
        assert bot.said[-1].endswith("Trying again in 5 s.")
        await bot.ready(discord)


@pytest.mark.parametrize("of", ["api", "gateway", "commands"])
async def test_a_signal_while_waiting_ends_the_bot_with_exit_code_0(
    tmp_path: Path, discord: FakeDiscord, of: str
) -> None:
    environment = settings_for(discord, tmp_path)
    with closed_port() as port:
        if of == "api":
            environment["DISCORD_API_URL"] = f"http://127.0.0.1:{port}/api/v10"
        elif of == "gateway":
            environment["DISCORD_GATEWAY_URL"] = f"ws://127.0.0.1:{port}/"
        else:
            discord.faults.answer("PUT", "/commands$", 503, times=100)
        async with starting(tmp_path, **environment) as bot:
            await bot.outages(2)
            bot.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(bot.process.wait(), TIMEOUT) == 0
            assert bot.process.stderr is not None
            assert b"Traceback" not in await bot.process.stderr.read()


async def test_no_network(tmp_path: Path) -> None:
    """The name never resolves (RFC 6761), as on a machine without a network."""
    (tmp_path / "models").mkdir()
    environment = {"DISCORD_TOKEN": "MTA.a-token.nobody-has", "DISCORD_API_URL": "https://discord.invalid/api/v10"}
    async with starting(tmp_path, **environment) as bot:
        await bot.outages(2)
    assert bot.said[-1].startswith("Discord cannot be reached (Cannot connect to host discord.invalid:443")
