"""What the admins of a server configured: its settings, blocked users, and an audit log of every change.

Settings are one JSON document per server; the bot defines its keys. A change and its entry in the audit log are one
transaction.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import audit, blocks, servers

#: The `guild_id` of a block by the operator, which applies in all servers and in direct messages.
EVERYWHERE = 0


@dataclass(frozen=True)
class StoredSettings:
    """`version` counts changes, so that a stale view of the settings can be detected. 0: never changed."""

    version: int
    settings: Mapping[str, Any]


NEVER_CHANGED = StoredSettings(0, {})


@dataclass(frozen=True)
class BlockedUser:
    user_id: int
    guild_id: int
    reason: str
    blocked_by: int | None
    blocked_at: datetime


@dataclass(frozen=True)
class AuditEntry:
    """A change by `actor_id` (None once erased). `subject_id`: the user affected, such as a blocked one."""

    id: int
    guild_id: int
    actor_id: int | None
    subject_id: int | None
    at: datetime
    what: str
    before: Any
    after: Any


@all_uncancellable
class Servers:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock
        self._watchers: list[Callable[[int, Mapping[str, Any]], None]] = []
        self._block_watchers: list[Callable[[int, int, bool], None]] = []

    def watch(self, watcher: Callable[[int, Mapping[str, Any]], None]) -> None:
        """Call `watcher` with a server's id and its settings after each change that was committed."""
        self._watchers.append(watcher)

    def watch_blocks(self, watcher: Callable[[int, int, bool], None]) -> None:
        """Call `watcher` with a user's id, a server's, and whether the user is blocked there now."""
        self._block_watchers.append(watcher)

    async def all_settings(self) -> tuple[tuple[int, Mapping[str, Any]], ...]:
        """Every server's id, with its settings."""
        async with self._transactions.reading() as connection:
            rows = await connection.execute(select(servers.c.guild_id, servers.c.settings))
            return tuple((guild_id, settings) for guild_id, settings in rows)

    async def all_blocks(self) -> frozenset[tuple[int, int]]:
        """Every block, as its user's id and its server's, which may be EVERYWHERE."""
        async with self._transactions.reading() as connection:
            rows = await connection.execute(select(blocks.c.user_id, blocks.c.guild_id))
            return frozenset((user_id, guild_id) for user_id, guild_id in rows)

    async def settings(self, guild_id: int) -> StoredSettings:
        async with self._transactions.reading() as connection:
            return await _settings(connection, guild_id)

    async def settings_of(self, *guild_ids: int) -> tuple[StoredSettings, ...]:
        """The settings of several servers, in this order, all read at the same moment."""
        which = servers.c.guild_id.in_(guild_ids)
        async with self._transactions.reading() as connection:
            rows = await connection.execute(
                select(servers.c.guild_id, servers.c.version, servers.c.settings).where(which)
            )
            found = {guild_id: StoredSettings(version, settings) for guild_id, version, settings in rows}
        return tuple(found.get(guild_id, NEVER_CHANGED) for guild_id in guild_ids)

    async def change(
        self, guild_id: int, changes: Mapping[str, Any], *, by: int, seen: int | None = None
    ) -> StoredSettings | None:
        """Set the keys of `changes` and leave the others; None removes a key. Returns the resulting settings.

        Each key whose value changes gets an entry in the audit log, all with the same time; if there is none, the
        version stays the same. If the current version is not the one that was `seen`, nothing is changed and None
        returned.
        """
        async with self._transactions.writing(alone_with=f"server {guild_id}") as connection:
            old = await _settings(connection, guild_id)
            if seen is not None and seen != old.version:
                return None
            new = {key: value for key, value in {**old.settings, **changes}.items() if value is not None}
            changed = [key for key in changes if old.settings.get(key) != new.get(key)]
            if not changed:
                return old
            await self._replace(connection, guild_id, StoredSettings(old.version + 1, new))
            now = self._clock()
            for key in changed:
                before, after = old.settings.get(key), new.get(key)
                await self._log(connection, guild_id, by, key, before=before, after=after, at=now)
        for watcher in self._watchers:
            watcher(guild_id, new)
        return StoredSettings(old.version + 1, new)

    async def note(self, guild_id: int, key: str, value: Any) -> None:
        """Set a key that is not a setting, or remove it with None. Adds no version and no entry in the audit log."""
        async with self._transactions.writing(alone_with=f"server {guild_id}") as connection:
            old = await _settings(connection, guild_id)
            new = {name: kept for name, kept in {**old.settings, key: value}.items() if kept is not None}
            values = {"settings": new, "changed_at": self._clock()}
            await connection.execute(update(servers).where(servers.c.guild_id == guild_id).values(**values))

    async def block(self, guild_id: int, user_id: int, *, by: int, reason: str = "") -> bool:
        """False if the user is already blocked; the first reason stays. `guild_id` may be EVERYWHERE."""
        async with self._transactions.writing(alone_with=f"server {guild_id}") as connection:
            if await _block(connection, guild_id, user_id):
                return False
            await connection.execute(
                insert(blocks).values(
                    guild_id=guild_id, user_id=user_id, reason=reason, blocked_by=by, blocked_at=self._clock()
                )
            )
            await self._log(connection, guild_id, by, "block", subject_id=user_id, after=reason)
        self._notify_of_block(user_id, guild_id, blocked=True)
        return True

    async def unblock(self, guild_id: int, user_id: int, *, by: int) -> bool:
        """False if the user was not blocked there."""
        async with self._transactions.writing(alone_with=f"server {guild_id}") as connection:
            block = await _block(connection, guild_id, user_id)
            if block is None:
                return False
            await connection.execute(delete(blocks).where(blocks.c.guild_id == guild_id, blocks.c.user_id == user_id))
            await self._log(connection, guild_id, by, "unblock", subject_id=user_id, before=block.reason)
        self._notify_of_block(user_id, guild_id, blocked=False)
        return True

    def _notify_of_block(self, user_id: int, guild_id: int, *, blocked: bool) -> None:
        for watcher in self._block_watchers:
            watcher(user_id, guild_id, blocked)

    async def record(self, guild_id: int, what: str, *, by: int, subject_id: int | None = None) -> None:
        """An entry in the audit log for what a moderator did, such as deleting somebody's image."""
        async with self._transactions.writing() as connection:
            await self._log(connection, guild_id, by, what, subject_id=subject_id)

    async def blocked_among(self, user_ids: Collection[int]) -> frozenset[tuple[int, int]]:
        """The blocks of these users, each as its user's id and its server's, which may be EVERYWHERE."""
        async with self._transactions.reading() as connection:
            rows = await connection.execute(
                select(blocks.c.user_id, blocks.c.guild_id).where(blocks.c.user_id.in_(user_ids))
            )
            return frozenset((user_id, guild_id) for user_id, guild_id in rows)

    async def block_of(self, user_id: int, guild_id: int | None) -> BlockedUser | None:
        """The block that applies to a user there, if any: by the server or by the operator."""
        async with self._transactions.reading() as connection:
            everywhere = await _block(connection, EVERYWHERE, user_id)
            return everywhere if everywhere or guild_id is None else await _block(connection, guild_id, user_id)

    async def blocks(self, guild_id: int) -> tuple[BlockedUser, ...]:
        """Oldest first."""
        async with self._transactions.reading() as connection:
            rows = await connection.execute(
                select(blocks).where(blocks.c.guild_id == guild_id).order_by(blocks.c.blocked_at, blocks.c.user_id)
            )
            return tuple(BlockedUser(**row._mapping) for row in rows)

    async def audit_log(self, guild_id: int, *, before: int | None = None, limit: int = 25) -> tuple[AuditEntry, ...]:
        """Newest first; `before` is the id of the last entry of the page before."""
        page = select(audit).where(audit.c.guild_id == guild_id).order_by(audit.c.id.desc()).limit(limit)
        if before is not None:
            page = page.where(audit.c.id < before)
        async with self._transactions.reading() as connection:
            return tuple(AuditEntry(**row._mapping) for row in await connection.execute(page))

    async def _replace(self, connection: AsyncConnection, guild_id: int, new: StoredSettings) -> None:
        values = {"version": new.version, "settings": new.settings, "changed_at": self._clock()}
        if new.version == 1:
            await connection.execute(insert(servers).values(guild_id=guild_id, **values))
        else:
            await connection.execute(update(servers).where(servers.c.guild_id == guild_id).values(**values))

    async def _log(
        self,
        connection: AsyncConnection,
        guild_id: int,
        actor_id: int,
        what: str,
        *,
        subject_id: int | None = None,
        before: Any = None,
        after: Any = None,
        at: datetime | None = None,
    ) -> None:
        await connection.execute(
            insert(audit).values(
                guild_id=guild_id,
                actor_id=actor_id,
                subject_id=subject_id,
                at=at or self._clock(),
                what=what,
                before=before,
                after=after,
            )
        )


async def _settings(connection: AsyncConnection, guild_id: int) -> StoredSettings:
    found = await connection.execute(
        select(servers.c.version, servers.c.settings).where(servers.c.guild_id == guild_id)
    )
    row = found.first()
    return StoredSettings(row.version, row.settings) if row else NEVER_CHANGED


async def _block(connection: AsyncConnection, guild_id: int, user_id: int) -> BlockedUser | None:
    found = await connection.execute(select(blocks).where(blocks.c.guild_id == guild_id, blocks.c.user_id == user_id))
    row = found.first()
    return BlockedUser(**row._mapping) if row else None
