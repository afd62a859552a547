"""Notices that the bot was removed from a server. Without discord.py's cache, Discord does not report it.

Discord then refuses the bot's requests there. It does not refuse images sent with an interaction's token, so servers
with unfinished jobs are also checked from time to time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import aiohttp
import discord

from bot.generation.spec import IN_OWN_SERVER
from bot.jobs.delivery.refusals import MISSING_ACCESS
from bot.jobs.delivery.transmission import independent_task
from bot.jobs.servers.lookup import ServerLookup
from bot.ops.background import cancel
from bot.ops.sharding import ShardedClient
from storage.backend.errors import StorageUnavailable
from storage.jobs import Job, Jobs

logger = logging.getLogger(__name__)

#: Discord's code for a server that does not exist. If the bot is not in a server, it sends this or MISSING_ACCESS.
UNKNOWN_SERVER = 10004
#: Seconds between two rounds, and how many servers each checks: a small part of the allowed 50 requests a second.
ROUND_INTERVAL, SERVERS_PER_ROUND = 60.0, 25


class Removals:
    """`removed` is awaited with the id of each server that the bot was removed from."""

    def __init__(
        self, client: ShardedClient, lookup: ServerLookup, jobs: Jobs, removed: Callable[[int], Awaitable[None]]
    ) -> None:
        self._client = client
        self._lookup = lookup
        self._jobs = jobs
        self._removed = removed
        self._checking: dict[int, asyncio.Task[None]] = {}
        self._looked_at: OrderedDict[int, None] = OrderedDict()  # the least recently checked first

    def refused(self, guild_id: int, error: Exception) -> None:
        """Discord refused a request in a server, so the bot may have been removed: check that in the background."""
        code = error.code if isinstance(error, discord.HTTPException) else None
        if self._client.caches_servers or code not in (UNKNOWN_SERVER, MISSING_ACCESS) or guild_id in self._checking:
            return
        task = self._checking[guild_id] = independent_task(lambda: self._check(guild_id))
        task.add_done_callback(lambda _: self._checking.pop(guild_id, None))

    def refused_job(self, job: Job, error: Exception) -> None:
        """The same for a request about a job; ignored for user installs."""
        if job.guild_id is not None and job.parameters.get(IN_OWN_SERVER):
            self.refused(job.guild_id, error)

    async def run(self) -> None:
        """Check servers with unfinished jobs, until cancelled."""
        while not self._client.caches_servers:
            await asyncio.sleep(ROUND_INTERVAL)
            try:
                await self._check_all()
            except StorageUnavailable as error:
                logger.info("servers with unfinished jobs could not be read (%s)", error)
            except Exception:
                logger.exception("servers with unfinished jobs could not be read")

    async def close(self) -> None:
        await cancel(self._checking.values())

    async def _check_all(self) -> None:
        asked_in = await self._jobs.servers_of_live(IN_OWN_SERVER)
        self._looked_at = OrderedDict((guild_id, None) for guild_id in self._looked_at if guild_id in asked_in)
        new = sorted(asked_in.difference(self._looked_at))
        for guild_id in [*new, *self._looked_at][:SERVERS_PER_ROUND]:
            self._looked_at[guild_id] = None
            self._looked_at.move_to_end(guild_id)
            await self._check(guild_id)

    async def _check(self, guild_id: int) -> None:
        try:
            is_member = await self._lookup.check_membership(guild_id)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.info("could not check whether the bot is still in server %d (%s)", guild_id, error)
            return
        if not is_member:
            await self._removed(guild_id)
