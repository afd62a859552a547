"""A client with all connections (shards) that Discord wants, in one process; with many servers, it has no cache.

discord.py starts its shards one after the other, five seconds apart, and also reconnects them one after the other. This
client starts and reconnects them at the same time, as far as Discord's `max_concurrency` allows. That, and running
without the cache, needs a few of discord.py's internals; only this module uses them, and its tests check them.

Source: "Gateway" in Discord's API reference, section "Sharding": of the shards with the same `shard_id %
max_concurrency`, one may identify every five seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import discord
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from discord.shard import EventItem, EventType, Shard
from yarl import URL

from bot.ops.background import BackgroundTasks
from bot.ops.outages import Outage, retry_until_reached

logger = logging.getLogger(__name__)

#: Seconds between the IDENTIFYs of two shards in one bucket: Discord's five, and a little for network delays.
IDENTIFY_INTERVAL = 5.2
#: Seconds that Discord gets to accept one connection.
CONNECT_TIMEOUT = 60.0


class IdentifyQueue:
    """Lets shards identify as often as Discord allows."""

    def __init__(self, max_concurrency: int = 1) -> None:
        self._max_concurrency = max_concurrency
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._identified: dict[int, float] = {}  # when, on the monotonic clock

    @asynccontextmanager
    async def turn(self, shard_id: int) -> AsyncIterator[None]:
        """Waits until the shard may identify; while it connects, no other shard of its bucket does."""
        bucket = self._bucket(shard_id)
        async with self._locks[bucket]:
            if bucket in self._identified:
                await asyncio.sleep(self._identified[bucket] + IDENTIFY_INTERVAL - time.monotonic())
            yield

    def identifies(self, shard_id: int) -> None:
        """Records that the shard sends its IDENTIFY now."""
        self._identified[self._bucket(shard_id)] = time.monotonic()

    def _bucket(self, shard_id: int) -> int:
        return shard_id % self._max_concurrency


class ShardedClient(discord.AutoShardedClient):
    """`caches_servers`, valid after `setup_hook`: whether discord.py keeps servers, channels and roles in memory.

    Without the cache the bot requests no intents, so Discord sends no events of servers; `bot.jobs.servers` asks it.
    """

    def __init__(self, *, intents: discord.Intents, max_cached_servers: int, **options: Any) -> None:
        # The client keeps this object and reads it when a shard identifies.
        self._asked_for = intents
        self._max_cached_servers = max_cached_servers
        self.caches_servers = True
        self._turns = IdentifyQueue()
        self._connecting = BackgroundTasks()
        self._to_connect: list[int] = []
        self._listed: dict[int, array[int]] = {}  # the ids of each shard's servers when it identified
        super().__init__(intents=intents, **options)
        self._parse_ready: Callable[[Any], None] = self._connection.parsers["READY"]
        self._connection.parsers["READY"] = self._receive_ready

    async def setup_hook(self) -> None:
        """Decides about the cache. The login has fetched the application, which has the approximate server count."""
        servers = self.application.approximate_guild_count if self.application is not None else 0
        self.caches_servers = self._max_cached_servers > 0 and servers <= self._max_cached_servers
        if not self.caches_servers:
            self._asked_for.value = discord.Intents.none().value
            logger.info("the bot is in about %d servers, so they are not kept in memory (MAX_CACHED_SERVERS)", servers)

    # How shards connect

    async def launch_shards(self) -> None:
        """Starts connecting all shards and returns: connected ones work while others still wait."""
        limits = await retry_until_reached(self.fetch_session_start_limits)
        self._turns = IdentifyQueue(limits.max_concurrency)
        self._to_connect.clear()
        await retry_until_reached(super().launch_shards)
        pause = 0.0
        if limits.remaining < len(self._to_connect):  # Discord would reset the token
            pause = limits.reset_after / 1000
            logger.warning("Discord allows too few new sessions today. The bot connects in %.0f minutes.", pause / 60)
        for shard_id in self._to_connect:
            self._begin(partial(self._connect_shard, shard_id, pause))

    async def launch_shard(self, gateway: URL, shard_id: int, *, initial: bool = False) -> None:
        """discord.py calls this for one shard after the other. Ignores `gateway`: DISCORD_GATEWAY_URL sets it."""
        self._to_connect.append(shard_id)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Does not wait as discord.py's does, because every IDENTIFY has already waited for its turn."""
        self._turns.identifies(shard_id or 0)

    async def _connect_shard(self, shard_id: int, pause: float) -> None:
        await asyncio.sleep(pause)
        outage = Outage()
        async with self._turns.turn(shard_id):
            while True:
                try:
                    async with asyncio.timeout(CONNECT_TIMEOUT):
                        socket = await DiscordWebSocket.from_client(self, shard_id=shard_id)
                    break
                except ReconnectWebSocket:
                    await outage.wait(ConnectionResetError("the connection was closed immediately"))
                except Exception as error:
                    await outage.wait(error)
        shard = _Shard(socket, self, self._queue.put_nowait)
        self._shards[shard_id] = shard
        shard.launch()

    def revive(self, shard_id: int, act: Callable[[], Awaitable[None]], *, identifies: bool) -> None:
        """Reconnect a shard in the background, so that discord.py can handle the others meanwhile."""

        async def in_turn() -> None:
            if not identifies:
                return await act()
            async with self._turns.turn(shard_id):
                await act()

        self._begin(in_turn)

    def _begin(self, act: Callable[[], Awaitable[None]]) -> None:
        async def guarded() -> None:
            try:
                await act()
            except Exception as error:  # ends the client, which raises it
                self._queue.put_nowait(EventItem(EventType.terminate, None, error))

        self._connecting.start(guarded(), name="connecting a shard")

    async def close(self) -> None:
        await self._connecting.cancel()
        await super().close()

    @property
    def is_connected(self) -> bool:
        """Whether every shard is connected."""
        return self.is_ready() and self.shards_connected == self.shard_count

    @property
    def shards_connected(self) -> int:
        return sum(not shard.is_closed() for shard in self.shards.values())

    @property
    def _queue(self) -> asyncio.PriorityQueue[EventItem]:
        """Events of shards, for the loop in `connect`."""
        queue: asyncio.PriorityQueue[EventItem] = self._AutoShardedClient__queue  # type: ignore[attr-defined]
        return queue

    @property
    def _shards(self) -> dict[int, Shard]:
        shards: dict[int, Shard] = self._AutoShardedClient__shards  # type: ignore[attr-defined]
        return shards

    # Servers

    def server_ids(self, shard_id: int) -> set[int]:
        """The servers of a shard; without the cache, those when it connected."""
        if self.caches_servers:
            return {guild.id for guild in self.guilds if guild.shard_id == shard_id}
        return set(self._listed.get(shard_id, ()))

    def shard_of(self, guild_id: int) -> int:
        return (guild_id >> 22) % (self.shard_count or 1)

    def _receive_ready(self, data: Any) -> None:
        """Removes servers that the bot has left while the shard was not connected; discord.py would keep them."""
        shard_id = data["shard"][0]
        listed = array("Q", (int(guild["id"]) for guild in data["guilds"]))
        if self.caches_servers:
            still = set(listed)
            for guild in list(self.guilds):
                if guild.shard_id == shard_id and guild.id not in still:
                    self._connection._remove_guild(guild)
        else:
            self._listed[shard_id] = listed
            data = {**data, "guilds": []}
        self._parse_ready(data)


class _Shard(Shard):
    """Returns from both methods at once: discord.py's loop awaits them, so all shards would wait for one."""

    _client: ShardedClient

    async def reidentify(self, exc: ReconnectWebSocket) -> None:
        self._client.revive(self.id, partial(super().reidentify, exc), identifies=not exc.resume)

    async def reconnect(self) -> None:
        self._client.revive(self.id, super().reconnect, identifies=True)
