"""Posts entries to servers' log channels. This never delays anything else or makes it fail.

Each server has its own short queue. Entries that arrive together share a message. Entries that Discord refuses are
dropped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import aiohttp
import discord
from discord import ui

from bot.jobs.delivery.outbox import retry
from bot.jobs.delivery.refusals import CONTENT_BLOCKED, is_temporary
from bot.jobs.servers.lookup import ServerLookup
from bot.messages.buttons import report_row
from bot.messages.fit import length
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_COMPONENTS, MAX_TEXT_LENGTH
from bot.messages.log_entries import LogEntry, left_out
from bot.ops.background import cancel
from bot.rules.server_settings import load_server_settings
from bot.text.languages import speaking
from bot.text.markdown import truncate
from storage.backend.errors import StorageUnavailable
from storage.servers import Servers

logger = logging.getLogger(__name__)

#: How many entries of one server may wait to be posted; more are dropped.
MAX_WAITING = 100
#: Seconds between two messages in one log channel, well within Discord's limit of five in five seconds.
PAUSE = 2.0
#: Seconds for which entries wait while Discord cannot be reached.
RETRY_TIMEOUT = 60.0
#: Seconds for posting waiting entries when the bot stops.
CLOSE_TIMEOUT = 3.0
#: Maximum characters of an entry. It is longer than any entry, because cutting one could remove the end of a spoiler.
MAX_ENTRY_LENGTH = 2000
#: Components of an entry with its buttons: a text, a row and two buttons.
COMPONENTS_OF_ENTRY = 4
MAX_ENTRIES = (MAX_COMPONENTS - 1) // COMPONENTS_OF_ENTRY
#: Characters reserved for the line that says how many entries were left out.
ROOM_FOR_REST = 200

LogChannel: TypeAlias = discord.TextChannel | discord.Thread


def log_channel(guild: discord.Guild | None, channel_id: int | None) -> LogChannel | None:
    """The server's channel of that id; None if it is in another server or its type cannot be a log channel."""
    if guild is None or channel_id is None:
        return None
    channel = guild.get_channel_or_thread(channel_id)
    return channel if isinstance(channel, LogChannel) else None


def can_post(channel: LogChannel) -> bool:
    """Whether the bot's permissions allow posting, as far as they are known."""
    permissions = channel.permissions_for(channel.guild.me)
    sends = permissions.send_messages_in_threads if isinstance(channel, discord.Thread) else permissions.send_messages
    return permissions.view_channel and sends


@dataclass
class _PendingEntries:
    entries: deque[tuple[LogEntry, asyncio.Future[bool]]] = field(default_factory=deque)
    dropped: int = 0
    task: asyncio.Task[None] | None = None


class LogChannels:
    def __init__(
        self, lookup: ServerLookup, servers: Servers, refused: Callable[[int, Exception], None] = lambda *_: None
    ) -> None:
        """`refused` is called with the id of each server where Discord refused a message, and the error."""
        self._lookup = lookup
        self._tell_refused = refused
        self._servers = servers
        self._waiting: dict[int, _PendingEntries] = {}
        self._closing = asyncio.Event()
        #: Servers whose log channel Discord refused last time.
        self._refused: set[int] = set()

    def post(self, guild_id: int | None, entry: LogEntry | None) -> asyncio.Future[bool]:
        """Post an entry soon, if the server has a log channel. The future says whether it was posted."""
        posted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if guild_id is None or entry is None:
            posted.set_result(False)
            return posted
        waiting = self._waiting.setdefault(guild_id, _PendingEntries())
        if len(waiting.entries) >= MAX_WAITING:
            waiting.dropped += 1
            posted.set_result(False)
            return posted
        waiting.entries.append((entry, posted))
        if waiting.task is None:
            waiting.task = asyncio.create_task(self._post_all(guild_id, waiting), name=f"log-{guild_id}")
        return posted

    def was_refused(self, guild_id: int) -> bool:
        """Whether Discord refused the last message to a server's log channel."""
        return guild_id in self._refused

    async def close(self) -> None:
        """Post the waiting entries without pauses, for at most CLOSE_TIMEOUT."""
        self._closing.set()
        tasks = [waiting.task for waiting in self._waiting.values() if waiting.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
        await cancel(tasks)

    async def _post_all(self, guild_id: int, waiting: _PendingEntries) -> None:
        try:
            while waiting.entries:
                if not await self._post_some(guild_id, waiting):
                    break
                await self._pause()
        except Exception:
            logger.exception("server %d: the log channel could not be written to", guild_id)
        finally:
            self._waiting.pop(guild_id, None)
            _settle(waiting, len(waiting.entries), posted=False)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                await self._closing.wait()

    async def _post_some(self, guild_id: int, waiting: _PendingEntries) -> bool:
        """Post one message with as many entries as fit. Returns False if the others cannot be posted either."""
        try:
            settings = await load_server_settings(self._servers, guild_id)
        except StorageUnavailable as error:
            logger.warning("server %d: its log channel could not be read (%s)", guild_id, error)
            return False
        if settings.log_channel_id is None:
            return False
        guild = await self._lookup.server(guild_id, settings.log_channel_id)
        channel = log_channel(guild, settings.log_channel_id)
        if guild is None or channel is None:
            self._refuse(guild_id, "it is gone")
            return False
        max_entries, words = MAX_ENTRIES, True
        while True:
            with speaking(str(guild.preferred_locale)):
                view, taken, left_out_told = _message(waiting, max_entries, words=words)
            try:
                await _send(channel, view, _nonce(waiting, taken))
                break
            except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
                if words and isinstance(error, discord.HTTPException) and error.code in CONTENT_BLOCKED:
                    max_entries, words = (
                        1,
                        taken > 1,
                    )  # one at a time, so that only the entry with the blocked words loses them
                    continue
                self._refuse(guild_id, error)
                self._tell_refused(guild_id, error)
                _settle(waiting, taken, posted=False)
                return not isinstance(error, discord.Forbidden | discord.NotFound)
        self._refused.discard(guild_id)
        waiting.dropped -= left_out_told
        _settle(waiting, taken, posted=True)
        return True

    def _refuse(self, guild_id: int, why: object) -> None:
        self._refused.add(guild_id)
        logger.warning("server %d: entries for its log channel are dropped (%s)", guild_id, why)


async def _send(channel: LogChannel, view: StaticLayout, nonce: str) -> None:
    """Send a message, with retries while Discord is out of reach. The nonce prevents a second post."""
    send = partial(channel.send, view=view, allowed_mentions=discord.AllowedMentions.none(), nonce=nonce)
    try:
        async with asyncio.timeout(RETRY_TIMEOUT):
            await retry(send, is_temporary)
    except TimeoutError:
        raise ConnectionError("Discord could not be reached.") from None


def _nonce(waiting: _PendingEntries, taken: int) -> str:
    first, _ = waiting.entries[0]
    return secrets.token_hex(8) if taken != 1 or first.request_id is None else f"log-{first.request_id}"


def _message(waiting: _PendingEntries, max_entries: int, *, words: bool) -> tuple[StaticLayout, int, int]:
    """A message with the first waiting entries, how many it contains, and how many it reports as left out.

    max_entries: the most entries that it may have. words: whether to show what people typed.

    max_entries: of the entries. words: with what people typed.
    """
    items: list[ui.Item[Any]] = []
    room, taken, told = MAX_TEXT_LENGTH - ROOM_FOR_REST, 0, 0
    jobs: set[int] = set()
    for entry, _ in list(waiting.entries)[:max_entries]:
        text = truncate(entry.text() if words else entry.without_words(), MAX_ENTRY_LENGTH)
        room -= length(text)
        if taken and (room < 0 or entry.job_id in jobs):  # Discord rejects a message with the same button twice
            break
        items.append(ui.TextDisplay(text))
        if entry.job_id is not None:
            jobs.add(entry.job_id)
            items.append(report_row(entry.job_id))
        taken += 1
    if waiting.dropped and taken == len(waiting.entries):
        told = waiting.dropped
        items.append(ui.TextDisplay(left_out(told)))
    return StaticLayout(*items), taken, told


def _settle(waiting: _PendingEntries, count: int, *, posted: bool) -> None:
    for _ in range(count):
        _, future = waiting.entries.popleft()
        if not future.done():
            future.set_result(posted)
