"""The two ways to the database: `reading`, and `writing`, which waits its turn before it looks at anything."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

from sqlalchemy import exc, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MISTAKES = (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError)
"""Errors of the program that asked, not of the database."""


class StorageUnavailable(Exception):
    """The database could not be asked now (locked, full, unreachable). Nothing of the transaction was kept."""


class Transactions:
    """Hands out connections, one transaction each.

    SQLite has one writer at a time for the whole file. Every write begins with BEGIN IMMEDIATE, so two processes queue
    up at the start of their transactions and neither can act on what the other is about to change. Within this
    process a lock in memory does the queueing, because SQLite's own waiting is a poll that sleeps up to 100 ms.

    PostgreSQL has many writers. Those that must not overlap name the same thing in `alone_with`.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.on_sqlite = engine.dialect.name == "sqlite"
        self._turn = asyncio.Lock() if self.on_sqlite else nullcontext()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        with _said_in_a_sentence():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, alone_with: str = "") -> AsyncIterator[AsyncConnection]:
        """Commits at the end of the block; an exception in it undoes everything.

        While the block runs, no other writer that names the same `alone_with` is in its own, in any process.
        """
        with _said_in_a_sentence():
            async with self._turn, self._engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
                if alone_with and not self.on_sqlite:
                    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(alone_with, 0))))
                yield connection

    async def empty_log(self) -> None:
        """SQLite's write-ahead log holds pages as they were, with what has been erased since; this empties it."""
        if self.on_sqlite:
            with _said_in_a_sentence():
                async with self._turn, self._engine.execution_options(begin=None).connect() as connection:
                    await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


@contextmanager
def _said_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except MISTAKES:
        raise
    except (exc.DBAPIError, exc.TimeoutError, OSError) as error:
        said = str(getattr(error, "orig", error))
        if "locked" in said:
            raise StorageUnavailable("Another process keeps the database busy; try again in a moment.") from error
        if "full" in said:
            raise StorageUnavailable("The disk of the database is full; free some space.") from error
        raise StorageUnavailable(f"The database cannot be used now ({said}).") from error
