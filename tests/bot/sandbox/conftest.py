"""A small bot on discord.py's plain Client, and the stand-in it talks to."""

from __future__ import annotations

import asyncio
import io
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route
from PIL import Image

from bot.ops.endpoints import point_discord_at
from bot.sandbox import Clock, FakeDiscord, RateLimits, page_server

DOCUMENT = Path(__file__).parents[4] / "shared" / "discord" / "openapi.json"


def png(width: int = 8, height: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(file, "PNG")
    return file.getvalue()


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


class NowhereElse(AbstractResolver):
    """Fails the test that would reach for anything but an address on this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        raise OSError(f"A test tried to reach {host}.")

    async def close(self) -> None:
        pass


Answer = Callable[[discord.Interaction], Awaitable[None]]


class RollButton(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"roll:(?P<seed>\d+)"):
    """A button whose custom_id says everything, so that it outlives the process that sent it."""

    def __init__(self, seed: int) -> None:
        super().__init__(discord.ui.Button(label="Re-roll", custom_id=f"roll:{seed}"))
        self.seed = seed

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction, item: Any, match: Any, /) -> RollButton:
        return cls(int(match["seed"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"seed {self.seed + 1}")


class SpecimenBot(discord.Client):
    """Answers `/specimen` by whatever a test puts into `answer`; the other commands each show one feature."""

    def __init__(self) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True),
            allowed_mentions=discord.AllowedMentions.none(),
            connector=aiohttp.TCPConnector(resolver=NowhereElse()),
        )
        self._connection.guild_ready_timeout = 0.01
        self.answer: Answer | None = None
        self.errors: list[Exception] = []
        self.seen: list[Any] = []
        self.tree = app_commands.CommandTree(
            self,
            allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
        )
        self.tree.error(self._on_command_error)
        self._add_commands()

    async def setup_hook(self) -> None:
        self.add_dynamic_items(RollButton)
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Overridden because discord.py sleeps here for five seconds."""

    async def _on_command_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
        self.errors.append(getattr(error, "original", error))

    def _add_commands(self) -> None:
        group = app_commands.Group(name="anima", description="Draws.")

        @self.tree.command(description="Does what the test says.")
        async def specimen(interaction: discord.Interaction) -> None:
            assert self.answer is not None
            await self.answer(interaction)

        @group.command(description="Draws a picture.")
        @app_commands.choices(size=[app_commands.Choice(name="portrait", value=1)])
        async def imagine(
            interaction: discord.Interaction,
            prompt: app_commands.Range[str, 1, 50],
            steps: app_commands.Range[int, 1, 60] = 30,
            cfg: float = 4.0,
            hidden: bool = False,
            source: discord.Attachment | None = None,
            friend: discord.Member | None = None,
            where: discord.TextChannel | None = None,
            role: discord.Role | None = None,
            size: app_commands.Choice[int] | None = None,
            lora: str = "",
        ) -> None:
            self.seen.append((prompt, steps, cfg, hidden, source, friend, where, role, size, lora))
            await interaction.response.defer(ephemeral=hidden)
            view = discord.ui.View(timeout=None)
            view.add_item(RollButton(seed=7))
            file = discord.File(io.BytesIO(png()), "picture.png", description="navy")
            await interaction.edit_original_response(content=prompt, attachments=[file], view=view)

        @imagine.autocomplete("lora")
        async def complete(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
            names = ["turbo", "tundra", "sketch"]
            self.seen.append(interaction.namespace.prompt)
            return [app_commands.Choice(name=name, value=name) for name in names if name.startswith(current)]

        @self.tree.context_menu(name="Parameters")
        async def parameters(interaction: discord.Interaction, message: discord.Message) -> None:
            await interaction.response.send_message(f"about {message.content}", ephemeral=True)

        @self.tree.context_menu(name="Portrait")
        async def portrait(interaction: discord.Interaction, user: discord.Member) -> None:
            await interaction.response.send_message(f"of {user.name}, {len(user.roles)}")

        @self.tree.command(description="For administrators.")
        @app_commands.default_permissions(manage_guild=True)
        async def settings(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("settings", ephemeral=True)

        self.tree.add_command(group)


class SpecimenStage:
    """One bot in front of one stand-in."""

    def __init__(self, discord_: FakeDiscord) -> None:
        self.discord = discord_
        self.bot = SpecimenBot()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._running = asyncio.create_task(self.bot.start(self.discord.token))
        ready = asyncio.create_task(self.discord.wait_until_ready())
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            ready.cancel()
            await self._running
        await ready
        await self.bot.wait_until_ready()

    async def stop(self) -> None:
        await self.bot.close()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def restart(self) -> None:
        """Another process could do no more: a new client that knows nothing of the old one."""
        await self.stop()
        await self.discord.wait_until_gone()
        self.bot = SpecimenBot()
        await self.start()

    async def errors(self, count: int) -> list[Any]:
        """The errors that the bot's answers ended in, once there are `count`."""
        async with asyncio.timeout(60):
            while len(self.bot.errors) < count:
                await asyncio.sleep(0.005)
        return self.bot.errors

    async def ask(self, answer: Answer) -> Any:
        """Alice types `/specimen` in #general, and the bot answers with `answer`."""
        self.bot.answer = answer
        return await self.discord.slash(self.discord.world.alice, self.discord.world.general, "specimen")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rate_limits() -> RateLimits:
    return RateLimits()


@pytest.fixture
async def standin(clock: Clock, rate_limits: RateLimits, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    """A stand-in that discord.py is pointed at, checked against Discord's document where that is at hand."""
    monkeypatch.setattr(Route, "BASE", Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    monkeypatch.setattr(discord.asset.Asset, "BASE", discord.asset.Asset.BASE)
    async with FakeDiscord(
        openapi=DOCUMENT if DOCUMENT.exists() else None,
        clock=clock,
        limits=rate_limits,
        routes=[page_server.add_routes],
    ) as standin:
        point_discord_at(standin.api_url, standin.gateway_url)
        yield standin
    if standin.openapi is not None:
        bad_answers = [str(violation) for violation in standin.openapi.violations if violation.whose == "answer"]
        assert bad_answers == []


@pytest.fixture
async def stage(standin: FakeDiscord) -> AsyncIterator[SpecimenStage]:
    stage = SpecimenStage(standin)
    await stage.start()
    yield stage
    await stage.stop()


async def request_as_bot(
    standin: FakeDiscord, method: str, path: str, json: Any = None, token: str | None = "the bot's"
) -> tuple[int, Any]:
    """Sends what discord.py itself would not send; gives the status and the JSON of the answer."""
    token = standin.token if token == "the bot's" else token
    headers = {"Authorization": f"Bot {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, standin.api_url + path, json=json, headers=headers) as response,
    ):
        return response.status, await response.json() if response.content_type == "application/json" else None
