"""The operator's announcements: one server a second, in one channel of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import aiohttp
import discord

from bot.jobs.log_channels import LogChannel, can_post, log_channel
from bot.rules.server_settings import load_server_settings
from storage.servers import Servers

logger = logging.getLogger(__name__)

#: Seconds between two servers, far below Discord's limit of 50 requests a second.
PAUSE = 1.0


class Announcements:
    def __init__(
        self, guilds: Callable[[], Sequence[discord.Guild]], answers_in: Callable[[int], bool], servers: Servers
    ) -> None:
        """guilds: the servers that the bot is in; answers_in: whether the operator allows a server."""
        self._guilds = guilds
        self._answers_in = answers_in
        self._servers = servers
        self._sending: set[asyncio.Task[None]] = set()

    def targets(self) -> list[discord.Guild]:
        """The servers that a message would go to."""
        return [guild for guild in self._guilds() if self._answers_in(guild.id)]

    def send(self, text: str) -> int:
        """Start sending a message; returns the number of servers. Does not continue after a restart."""
        targets = self.targets()
        task = asyncio.create_task(self._send(text, targets), name="announcement")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return len(targets)

    async def close(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, text: str, targets: Sequence[discord.Guild]) -> None:
        sent = 0
        for number, guild in enumerate(targets):
            if number:
                await asyncio.sleep(PAUSE)
            try:
                sent += await self._send_to(guild, text)
            except Exception:  # the others are to hear of it all the same
                logger.exception("announcement: server %d could not be reached", guild.id)
        logger.info("announcement: sent to %d of %d servers", sent, len(targets))

    async def _send_to(self, guild: discord.Guild, text: str) -> bool:
        channel = await self._channel(guild)
        if channel is None:
            logger.info("announcement: server %d has no channel where it may be posted", guild.id)
            return False
        try:
            await channel.send(text)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.info("announcement: server %d refused it: %s", guild.id, error)
            return False
        return True

    async def _channel(self, guild: discord.Guild) -> LogChannel | None:
        """The server's log channel, or else its system messages channel."""
        settings = await load_server_settings(self._servers, guild.id)
        candidates = (log_channel(guild, settings.log_channel_id), guild.system_channel)
        return next((channel for channel in candidates if channel is not None and can_post(channel)), None)
