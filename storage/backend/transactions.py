"""The two ways to the database: `reading`, and `writing`, which waits its turn before it looks at anything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import exc, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MISTAKES = (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError)
"""Errors of the program that asked, not of the database."""


P = ParamSpec("P")
T = TypeVar("T")
HasTransactionsT = TypeVar("HasTransactionsT", bound="HasTransactions")


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
        self._unfinished: set[asyncio.Task[Any]] = set()

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

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits `work` in a task of its own, which goes on when the one who waits here is cancelled."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Waits for what is still at work though nobody waits for it."""
        await asyncio.gather(*self._unfinished, return_exceptions=True)


class HasTransactions(Protocol):
    _transactions: Transactions


def uncancellable(
    method: Callable[Concatenate[HasTransactionsT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[HasTransactionsT, P], Coroutine[Any, Any, T]]:
    """A method whose transaction is never cut off in the middle. Who is cancelled goes at once; the change is made.

    A statement that is cut off keeps SQLite's lock until the garbage collector finds it, and all writers wait for that.
    """

    @wraps(method)
    async def finished(self: HasTransactionsT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transactions.finish(method(self, *args, **kwargs))

    return finished


def all_uncancellable(asker: type[HasTransactionsT]) -> type[HasTransactionsT]:
    """The same for every public method of a class."""
    for name, method in list(vars(asker).items()):
        if iscoroutinefunction(method) and not name.startswith("_"):
            setattr(asker, name, uncancellable(method))
    return asker


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
        if "disk I/O" in said:
            raise StorageUnavailable(f"The disk of the database fails ({said}); see whether it is full.") from error
        raise StorageUnavailable(f"The database cannot be used now ({said}).") from error
