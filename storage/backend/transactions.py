"""Transactions: `reading`, and `writing`, which takes the write lock before it reads anything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import exc, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

#: Errors of the calling code, not of the database.
PROGRAMMING_ERRORS = (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError)

P = ParamSpec("P")
T = TypeVar("T")
HasTransactionsT = TypeVar("HasTransactionsT", bound="HasTransactions")


class StorageUnavailable(Exception):
    """The database is not available now (locked, full, unreachable). The transaction was rolled back."""


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
        with _explained():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, alone_with: str = "") -> AsyncIterator[AsyncConnection]:
        """Commits at the end of the block; an exception in it rolls back everything.

        While the block runs, no other writer that names the same `alone_with` is in its own, in any process.
        """
        with _explained():
            async with self._turn, self._engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
                if alone_with and not self.on_sqlite:
                    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(alone_with, 0))))
                yield connection

    async def empty_log(self) -> None:
        """Empty SQLite's write-ahead log, which still has old pages with data that was erased since."""
        if self.on_sqlite:
            with _explained():
                async with self._turn, self._engine.execution_options(begin=None).connect() as connection:
                    await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits `work` in a task of its own, which continues when the caller is cancelled."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Waits for transactions whose caller was cancelled."""
        await asyncio.gather(*self._unfinished, return_exceptions=True)


class HasTransactions(Protocol):
    _transactions: Transactions


def uncancellable(
    method: Callable[Concatenate[HasTransactionsT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[HasTransactionsT, P], Coroutine[Any, Any, T]]:
    """A method whose transaction is never interrupted. A cancelled caller leaves at once; the change is still made.

    An interrupted statement keeps SQLite's lock until it is garbage-collected, and all writers wait for that.
    """

    @wraps(method)
    async def finished(self: HasTransactionsT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._transactions.finish(method(self, *args, **kwargs))

    return finished


def all_uncancellable(owner: type[HasTransactionsT]) -> type[HasTransactionsT]:
    """The same for every public method of a class."""
    for name, method in list(vars(owner).items()):
        if iscoroutinefunction(method) and not name.startswith("_"):
            setattr(owner, name, uncancellable(method))
    return owner


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except PROGRAMMING_ERRORS:
        raise
    except (exc.DBAPIError, exc.TimeoutError, OSError) as error:
        said = str(getattr(error, "orig", error))
        if "locked" in said:
            raise StorageUnavailable("Another process keeps the database locked. Try again in a moment.") from error
        if "full" in said:
            raise StorageUnavailable("The database's disk is full. Free some space.") from error
        if "disk I/O" in said:
            raise StorageUnavailable(
                f"The database's disk reports an error ({said}). Check whether it is full."
            ) from error
        raise StorageUnavailable(f"The database is not available now ({said}).") from error
