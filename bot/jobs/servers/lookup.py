"""Looks up servers, channels and members: in discord.py's cache, else from Discord, whose answers it keeps a minute.

The cache does not know archived threads, and a bot in many servers has no cache (`bot.ops.sharding`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import aiohttp
import discord

from bot.jobs.delivery.refusals import UNKNOWN_CHANNEL
from bot.jobs.delivery.transmission import independent_task
from bot.ops.sharding import ShardedClient
from bot.rules.policy import ChannelContext

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds for which Discord's answers are reused.
CACHE_SECONDS = 60.0
#: How many answers of one kind are remembered. A server takes some 50 kB with its channels and roles.
CACHED_CHANNELS, CACHED_SERVERS = 10_000, 200

ServerChannel: TypeAlias = discord.abc.GuildChannel | discord.Thread


class _Cache(Generic[T]):
    """Discord's answers by id. Concurrent callers share one request."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[int, tuple[float, asyncio.Task[T]]] = OrderedDict()  # the oldest first

    async def get(self, id: int, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._forget()
        if id not in self._answers:
            self._answers[id] = time.monotonic(), independent_task(ask)
        task = self._answers[id][1]
        try:
            return await asyncio.shield(task)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            is_final = isinstance(error, discord.HTTPException) and error.status in (401, 403, 404)
            if not is_final and self._answers.get(id, (0.0, None))[1] is task:
                del self._answers[id]
            raise

    def _forget(self) -> None:
        now = time.monotonic()
        while self._answers:
            asked_at, _ = next(iter(self._answers.values()))
            if asked_at > now - CACHE_SECONDS and len(self._answers) < self._size:
                return
            self._answers.popitem(last=False)


@dataclass(frozen=True)
class ServerPage:
    """Part of a list of servers, and the `begin` that `ServerLookup.page` takes for the page before and after."""

    servers: Sequence[discord.Guild]
    before: int | None
    after: int | None


class ServerLookup:
    """`refused` is called with the id of a server in which Discord refused a request, and the error."""

    def __init__(self, client: ShardedClient, refused: Callable[[int, Exception], None]) -> None:
        self._client = client
        self._refused = refused
        self._channels: _Cache[ServerChannel | None] = _Cache(CACHED_CHANNELS)
        self._servers: _Cache[discord.Guild] = _Cache(CACHED_SERVERS)
        self._memberships: _Cache[bool] = _Cache(CACHED_CHANNELS)

    @property
    def is_cached(self) -> bool:
        """Whether discord.py keeps all servers."""
        return self._client.caches_servers

    # Channels

    def known_place(self, guild_id: int, channel_id: int) -> ChannelContext | None:
        """A channel from the cache; None if it is not there."""
        channel = self._client.get_channel(channel_id)
        return None if channel is None else ChannelContext.of_channel(guild_id, channel)

    async def place(self, guild_id: int, channel_id: int) -> ChannelContext | None:
        """A channel of a server; None if it no longer exists. Raises discord.HTTPException."""
        if (known := self.known_place(guild_id, channel_id)) is not None:
            return known
        channel = await self._channel(guild_id, channel_id)
        if channel is None:
            return None
        return ChannelContext.of_channel(guild_id, channel, await self._parent(guild_id, channel))

    async def place_of(self, interaction: discord.Interaction[Any]) -> ChannelContext:
        """Where an interaction came from. Raises ValueError if Discord does not say in which channel."""
        channel, guild_id = interaction.channel, interaction.guild_id
        if guild_id is None or not isinstance(channel, discord.Thread) or not interaction.is_guild_integration():
            return ChannelContext.of(interaction)
        try:
            parent = await self._parent(guild_id, channel)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.info("channel %d could not be fetched, so the strictest rules apply (%s)", channel.id, error)
            parent = None
        return ChannelContext.of_channel(guild_id, channel, parent)

    async def is_age_restricted(self, guild_id: int, channel_id: int) -> bool | None:
        """Whether a channel is age-restricted; None if unknown."""
        try:
            place = await self.place(guild_id, channel_id)
        except (discord.HTTPException, aiohttp.ClientError, OSError):
            return None
        return None if place is None else place.age_restricted

    async def _parent(self, guild_id: int, channel: ServerChannel) -> ServerChannel | None:
        """A thread's parent channel, if the cache does not have it."""
        if not isinstance(channel, discord.Thread) or channel.parent is not None:
            return None
        return await self._channel(guild_id, channel.parent_id)

    async def _channel(self, guild_id: int, channel_id: int) -> ServerChannel | None:
        try:
            return await self._channels.get(channel_id, partial(self._fetch_channel, channel_id))
        except discord.HTTPException as error:
            self._refused(guild_id, error)
            raise

    async def _fetch_channel(self, channel_id: int) -> ServerChannel | None:
        try:
            channel = await self._client.fetch_channel(channel_id)
        except discord.HTTPException as error:
            if error.code == UNKNOWN_CHANNEL:
                return None
            raise
        return channel if isinstance(channel, ServerChannel) else None

    # Servers

    async def server(self, guild_id: int | None, *thread_ids: int | None) -> discord.Guild | None:
        """A server with its channels and roles, and the bot as a member; None if the bot is not in it or cannot see it.

        thread_ids: threads to add to it, because no cache has archived threads. Ids of channels do no harm.
        """
        if guild_id is None:
            return None
        server = None
        try:
            server = await self._server(guild_id)
            if server is not None:
                await self._add_threads(server, thread_ids)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.info("server %d or a thread of it could not be fetched (%s)", guild_id, error)
            self._refused(guild_id, error)
        return server

    async def _server(self, guild_id: int) -> discord.Guild | None:
        if self._client.caches_servers:
            return self._client.get_guild(guild_id)
        return await self._servers.get(guild_id, partial(self._fetch_server, guild_id))

    async def _add_threads(self, server: discord.Guild, thread_ids: Iterable[int | None]) -> None:
        for thread_id in thread_ids:
            if thread_id is None or server.get_channel_or_thread(thread_id) is not None:
                continue
            thread = await self._channel(server.id, thread_id)
            if isinstance(thread, discord.Thread) and thread.guild.id == server.id:
                thread.guild = server
                server._add_thread(thread)

    async def member(self, interaction: discord.Interaction[Any]) -> discord.Member | None:
        """The member who made an interaction, with their roles; None outside of servers, and if unknown."""
        user = interaction.user
        if not isinstance(user, discord.Member) or self._client.caches_servers:
            return user if isinstance(user, discord.Member) else None
        server = await self.server(interaction.guild_id)
        if server is None:
            return None
        try:
            return await server.fetch_member(user.id)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.info("the roles of a member of server %d could not be fetched (%s)", server.id, error)
            return None

    async def is_member(self, guild_id: int) -> bool:
        """Whether the bot is in a server. Raises discord.HTTPException."""
        if self._client.caches_servers:
            return self._client.get_guild(guild_id) is not None
        return await self._memberships.get(guild_id, partial(self.check_membership, guild_id))

    async def check_membership(self, guild_id: int) -> bool:
        """Ask Discord whether the bot is in a server: its list of the bot's servers must have the id. One request."""
        async for server in self._client.fetch_guilds(limit=1, after=discord.Object(guild_id - 1), with_counts=False):
            return server.id == guild_id
        return False

    async def count(self) -> int:
        """How many servers the bot is in. Without the cache this is Discord's approximate number."""
        if self._client.caches_servers:
            return len(self._client.guilds)
        return (await self._client.application_info()).approximate_guild_count

    async def each(self) -> AsyncIterator[discord.Guild]:
        """Every server in order of id. Without the cache they lack channels and roles; `server` has these."""
        if self._client.caches_servers:
            for server in sorted(self._client.guilds, key=lambda server: server.id):
                yield server
            return
        async for server in self._client.fetch_guilds(limit=None, with_counts=False):
            yield server

    async def page(self, begin: int, size: int) -> ServerPage:
        """Some servers with their member counts: the largest first, or without the cache the oldest first.

        begin: `before` or `after` of another page; 0 is the first page.
        """
        if self._client.caches_servers:
            servers = sorted(self._client.guilds, key=lambda server: (-(server.member_count or 0), server.id))
            before = max(0, begin - size) if begin > 0 else None
            after = begin + size if len(servers) > begin + size else None
            return ServerPage(servers[begin : begin + size], before, after)
        shown = [each async for each in self._client.fetch_guilds(limit=size + 1, after=discord.Object(begin))]
        after = shown[size - 1].id if len(shown) > size else None
        return ServerPage(shown[:size], await self._page_before(begin, size), after)

    async def _page_before(self, begin: int, size: int) -> int | None:
        if begin == 0:
            return None
        before = discord.Object(begin + 1)
        earlier = [each.id async for each in self._client.fetch_guilds(limit=size, before=before, with_counts=False)]
        return min(earlier) - 1 if earlier else None

    async def _fetch_server(self, guild_id: int) -> discord.Guild:
        assert self._client.user is not None
        server = await self._client.fetch_guild(guild_id, with_counts=False)
        for channel in await server.fetch_channels():
            server._add_channel(channel)
        server._add_member(await server.fetch_member(self._client.user.id))
        return server
