"""Keeps in memory what must be known before an interaction is acknowledged: who is blocked, and what is private.

It is read once at the start, then updated by watching the classes that write it. Until it is read, every answer is
private. So is every answer about an unknown job.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import discord

from bot.generation.options import Options
from bot.rules.server_settings import ServerSettings, settings_guild_id
from storage.database import Database
from storage.servers import EVERYWHERE

logger = logging.getLogger(__name__)

#: How many ids are read at a time.
READ_BATCH_SIZE = 50_000


class AnswerCache:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_loaded = False
        self._blocks: set[tuple[int, int]] = set()
        #: By user id and preset name (None: their defaults). Those that do not set it have no entry.
        self._preferences: dict[tuple[int, str | None], bool] = {}
        self._servers: dict[int, bool] = {}
        self._public_jobs = IdSet()
        database.preferences.watch(self._preference_changed)
        database.servers.watch(self._server_changed)
        database.servers.watch_blocks(self._block_changed)
        database.privacy.watch_erasures(self._erased)

    async def load(self) -> None:
        """Read everything, also again after another bot may have written to the database. Raises StorageUnavailable."""
        self._is_loaded = False
        for known in (self._blocks, self._preferences, self._servers):
            known.clear()
        for user_id, name, document in await self._database.preferences.all():
            self._preference_changed(user_id, name, document)
        for guild_id, settings in await self._database.servers.all_settings():
            self._server_changed(guild_id, settings)
        self._blocks |= await self._database.servers.all_blocks()
        await self._load_jobs()
        self._is_loaded = True

    async def _load_jobs(self) -> None:
        jobs = self._database.jobs
        self._public_jobs.add_up_to(await jobs.newest_id())
        private: Sequence[int] = (0,)
        while private:
            private = await jobs.private_ids(after=private[-1], limit=READ_BATCH_SIZE)
            for job_id in private:
                self._public_jobs.discard(job_id)

    def is_blocked(self, user_id: int, guild_id: int | None) -> bool:
        """Whether the server or the operator blocks the user. False until loaded; `submit` asks the database again."""
        return not self._blocks.isdisjoint({(user_id, EVERYWHERE), (user_id, guild_id or EVERYWHERE)})

    def answers_privately(self, interaction: discord.Interaction[Any], options: Options, preset: str | None) -> bool:
        """Whether only the user sees the answer to a request: by its options, else the preset, else the defaults."""
        if options.private is not None:
            return options.private
        if not self._is_loaded:
            return True
        user_id, guild_id = interaction.user.id, settings_guild_id(interaction)
        said = [self._preferences.get((user_id, preset)) if preset is not None else None]
        said += [self._preferences.get((user_id, None)), self._servers.get(guild_id or EVERYWHERE)]
        return next((private for private in said if private is not None), False)

    def is_private(self, job_id: int) -> bool:
        """Whether only its user sees a job's images. True for an unknown job."""
        return not self._is_loaded or job_id not in self._public_jobs

    def add_job(self, job_id: int, *, private: bool) -> None:
        """Record an accepted job."""
        if not private:
            self._public_jobs.add(job_id)

    def _preference_changed(self, user_id: int, name: str | None, document: Mapping[str, Any]) -> None:
        private = document.get("private")
        if isinstance(private, bool):
            self._preferences[user_id, name] = private
        else:
            self._preferences.pop((user_id, name), None)

    def _server_changed(self, guild_id: int, settings: Mapping[str, Any]) -> None:
        try:
            private = ServerSettings.of(settings).defaults.options().private
        except ValueError as error:  # requests in that server report it; the other servers must not fail because of it
            logger.error("server %d: its settings cannot be read: %s", guild_id, error)
            private = None
        if private is None:
            self._servers.pop(guild_id, None)
        else:
            self._servers[guild_id] = private

    def _block_changed(self, user_id: int, guild_id: int, blocked: bool) -> None:
        if blocked:
            self._blocks.add((user_id, guild_id))
        else:
            self._blocks.discard((user_id, guild_id))

    def _erased(self, user_id: int) -> None:
        for key in [key for key in self._preferences if key[0] == user_id]:
            del self._preferences[key]


class IdSet:
    """A set of row ids that takes one bit for each id up to the largest: 125 KB for a million jobs."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, id: int) -> bool:
        byte, bit = divmod(id, 8)
        return 0 <= byte < len(self._bits) and bool(self._bits[byte] & 1 << bit)

    def add(self, id: int) -> None:
        byte, bit = divmod(id, 8)
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits)))
        self._bits[byte] |= 1 << bit

    def add_up_to(self, id: int) -> None:
        """Add all ids from 0 to `id`."""
        self.add(id)
        whole, bits = divmod(id, 8)
        self._bits[:whole] = b"\xff" * whole
        self._bits[whole] |= (1 << bits) - 1

    def discard(self, id: int) -> None:
        byte, bit = divmod(id, 8)
        if 0 <= byte < len(self._bits):
            self._bits[byte] &= ~(1 << bit)
