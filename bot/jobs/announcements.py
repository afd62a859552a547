"""Sends the operator's announcements: to one server per second, in one channel of each.

The operator's document stores how far an announcement has got, so it continues after a restart. Each message has a
nonce, so a server that was reached just before a crash gets no second one. While Discord is down, sending waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import discord

from bot.jobs.delivery.outbox import retry, retry_storage
from bot.jobs.delivery.refusals import is_temporary
from bot.jobs.log_channels import LogChannel, can_post, log_channel
from bot.jobs.servers.lookup import ServerLookup
from bot.ops.background import BackgroundTasks
from bot.rules.server_settings import load_server_settings
from storage.backend.errors import StorageUnavailable
from storage.servers import EVERYWHERE, Servers

logger = logging.getLogger(__name__)

#: Seconds between two servers, far below Discord's limit of 50 requests a second.
PAUSE = 1.0
#: What the keys of unfinished announcements begin with, in the operator's document.
UNFINISHED = "announcing "


def unfinished(number: int, text: str, after: int = 0) -> dict[str, dict[str, str | int]]:
    """The entry of an announcement that has reached the servers up to the id `after`. `number` must be unique."""
    return {f"{UNFINISHED}{number}": {"text": text, "after": after}}


class Announcements:
    def __init__(self, lookup: ServerLookup, answers_in: Callable[[int], bool], servers: Servers) -> None:
        """`answers_in`: whether the operator allows a server."""
        self._lookup = lookup
        self._answers_in = answers_in
        self._servers = servers
        self._sending = BackgroundTasks()

    async def count(self) -> int:
        """How many servers a message would go to; approximate if discord.py does not cache the servers."""
        if self._lookup.is_cached:
            return len([guild async for guild in self._targets()])
        return await self._lookup.count()

    def send(self, text: str, number: int = 0, after: int = 0) -> None:
        """Start sending a message to the servers with larger ids than `after`.

        number: of its `unfinished` entry.
        """
        self._sending.start(self._send(text, number, after), name="announcement")

    async def resume(self) -> None:
        """Continue unfinished announcements after a restart."""
        stored = await retry_storage(lambda: self._servers.settings(EVERYWHERE))
        for key, entry in stored.settings.items():
            if key.startswith(UNFINISHED):
                logger.info("an announcement continues after a restart")
                self.send(entry["text"], int(key.removeprefix(UNFINISHED)), entry["after"])

    async def close(self) -> None:
        await self._sending.cancel()

    async def _targets(self) -> AsyncIterator[discord.Guild]:
        async for guild in self._lookup.each():
            if self._answers_in(guild.id):
                yield guild

    async def _send(self, text: str, number: int, after: int) -> None:
        sent = count = 0
        try:
            async for guild in self._targets():
                if guild.id <= after:
                    continue
                if count:
                    await asyncio.sleep(PAUSE)
                count += 1
                try:
                    sent += await self._send_to(guild.id, text, number)
                except Exception:  # the others still get it
                    logger.exception("announcement: server %d could not be reached", guild.id)
                [(key, entry)] = unfinished(number, text, after=guild.id).items()
                await self._note(key, entry)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.warning("announcement: the list of servers could not be fetched (%s)", error)
            return  # the next start continues
        await self._note(f"{UNFINISHED}{number}", None)
        logger.info("announcement: sent to %d of %d servers", sent, count)

    async def _note(self, key: str, entry: dict[str, str | int] | None) -> None:
        try:
            await self._servers.note(EVERYWHERE, key, entry)
        except StorageUnavailable as error:
            logger.warning("announcement: its progress could not be saved: %s", error)

    async def _send_to(self, guild_id: int, text: str, number: int) -> bool:
        channel = await self._channel(guild_id)
        if channel is None:
            logger.info("announcement: server %d has no channel where it may be posted", guild_id)
            return False
        try:
            await retry(partial(channel.send, text, nonce=f"{number % 10_000}-{guild_id}"), is_temporary)
        except discord.HTTPException as error:
            logger.info("announcement: server %d refused it: %s", guild_id, error)
            return False
        return True

    async def _channel(self, guild_id: int) -> LogChannel | None:
        """The server's log channel, or else its system messages channel."""
        settings = await load_server_settings(self._servers, guild_id)
        guild = await self._lookup.server(guild_id, settings.log_channel_id)
        if guild is None:
            return None
        candidates = (log_channel(guild, settings.log_channel_id), guild.system_channel)
        return next((channel for channel in candidates if channel is not None and can_post(channel)), None)
