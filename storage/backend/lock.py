"""A lock that one process holds for a database, so that a second bot started by mistake can stop.

It is released when the process ends, also if it is killed.
"""

import asyncio
import sqlite3
from pathlib import Path
from typing import Protocol

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class InstanceLock(Protocol):
    async def acquire(self) -> bool:
        """False if another process holds it."""

    async def release(self) -> None: ...


class SqliteLock:
    """An exclusive SQLite lock on an empty file next to the database."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock: sqlite3.Connection | None = None

    async def acquire(self) -> bool:
        if self._lock is None:
            self._lock = await asyncio.to_thread(self._try)
        return self._lock is not None

    async def release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def _try(self) -> sqlite3.Connection | None:
        lock = sqlite3.connect(self._file, isolation_level=None, timeout=0, check_same_thread=False)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            lock.close()
            return None
        return lock


class PostgresqlLock:
    """An advisory lock, held by a connection of its own."""

    LOCK = func.hashtextextended("anima: the one that draws", 0)

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> bool:
        if self._connection is None:
            connection = await self._engine.connect()
            if await connection.scalar(select(func.pg_try_advisory_lock(self.LOCK))):
                self._connection = connection
            else:
                await connection.close()
        return self._connection is not None

    async def release(self) -> None:
        if self._connection:
            await self._connection.invalidate()
            await self._connection.close()
            self._connection = None
