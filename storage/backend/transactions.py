"""Transactions: `reading`, and `writing`, which takes the write lock before it reads anything."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import ColumnElement, delete, exc, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.backend.errors import DatabaseTimeouts, StorageUnavailable
from storage.backend.types import DatabaseTime
from storage.schema import commits

logger = logging.getLogger(__name__)

#: Errors of the calling code, not of the database.
PROGRAMMING_ERRORS = (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError)
#: Milliseconds after which PostgreSQL ends a transaction of a bot that has gone silent, with the locks that it holds.
IDLE_IN_TRANSACTION = "60000"
#: Seconds between two checks whether a transaction was committed.
POLL_INTERVAL = 0.2
#: SQLite and PostgreSQL accept about 30,000.
VALUES_PER_STATEMENT = 1000
#: How long the token of a committed transaction is kept.
COMMIT_LIFETIME = timedelta(minutes=10)

P = ParamSpec("P")
T = TypeVar("T")
HasTransactionsT = TypeVar("HasTransactionsT", bound="HasTransactions")


class _PriorityLock:
    """A lock that is given to urgent waiters first, and otherwise in the order of arrival."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())  # the urgent ones, the others

    @asynccontextmanager
    async def hold(self, urgent: bool = False) -> AsyncIterator[None]:
        if self._is_held:
            await self._wait(urgent)
        self._is_held = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, urgent: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[0 if urgent else 1].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came in the same moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        for waiting in self._waiting:
            while waiting:
                if not (turn := waiting.popleft()).done():
                    turn.set_result(None)
                    return
        self._is_held = False


class Transactions:
    """Hands out connections, one transaction each.

    SQLite has one writer at a time for the whole file. Every write begins with BEGIN IMMEDIATE, so two processes queue
    up at the start of their transactions and neither can act on what the other is about to change. Within this
    process a lock in memory does the queueing, because SQLite's own waiting is a poll that sleeps up to 100 ms, and
    knows nothing of what is urgent.

    PostgreSQL has many writers. Those that must not overlap name the same thing in `alone_with`. A connection may be
    lost during a commit, so each of them writes down a token, by which the server can tell what became of it.
    """

    def __init__(
        self, engine: AsyncEngine, timeouts: DatabaseTimeouts | None = None, *, with_tokens: bool = True
    ) -> None:
        """`with_tokens`: not for migrations, before which there may be no table for them."""
        self._engine = engine
        self._for_writing = engine.execution_options(begin="BEGIN IMMEDIATE")
        self._timeouts = timeouts or DatabaseTimeouts()
        self._with_tokens = with_tokens
        self.on_sqlite = engine.dialect.name == "sqlite"
        self._write_lock = _PriorityLock() if self.on_sqlite else None
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._connections = 0
        self._none_connected = asyncio.Event()
        self._none_connected.set()
        self._closed = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        with _explained():
            async with self._connected(self._engine) as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, alone_with: str = "", *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """Commits at the end of the block; an exception in it rolls back everything.

        While the block runs, no other writer that names the same `alone_with` is in its own, in any process. One that
        is `urgent` goes before others of this process that wait.
        """
        with _explained():
            async with self._write_turn(urgent), self._connected(self._for_writing) as connection:
                await connection.begin()
                token = None if self.on_sqlite else await self._begin(connection, alone_with)
                yield connection
                await self._commit(connection, token)

    async def empty_log(self) -> None:
        """Empty SQLite's write-ahead log, which still has old pages with data that was erased since."""
        if self.on_sqlite:
            with _explained():
                engine = self._engine.execution_options(begin=None)
                async with self._write_turn(), self._connected(engine) as connection:
                    await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits `work` in a task of its own, which continues when the caller is cancelled.

        Within such a task it needs no second one.
        """
        if asyncio.current_task() in self._unfinished:
            return await work
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def drain(self) -> None:
        """Waits for running transactions, also those whose caller was cancelled, and until no connection is in use."""
        while self._unfinished or self._connections:
            await asyncio.gather(*self._unfinished, return_exceptions=True)
            await self._none_connected.wait()

    async def close(self) -> None:
        """Begins no more transactions, and waits for those that run: what they return to must still be there."""
        self._closed = True
        await self.drain()

    def _write_turn(self, urgent: bool = False) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._write_lock is None else self._write_lock.hold(urgent)

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection; whatever is not committed at the end is rolled back."""
        with self._counted():
            async with asyncio.timeout(None if self.on_sqlite else self._timeouts.connect):
                connection = await engine.connect()
            try:
                yield connection
            finally:
                await self.finish(connection.close())

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Raises StorageUnavailable after `close`."""
        if self._closed:
            raise StorageUnavailable("The database is closed, because the bot is stopping.")
        self._connections += 1
        self._none_connected.clear()
        try:
            yield
        finally:
            self._connections -= 1
            if not self._connections:
                self._none_connected.set()

    async def _begin(self, connection: AsyncConnection, alone_with: str) -> int | None:
        """In one trip: settings, token and lock of a transaction on PostgreSQL. Returns the token."""
        wanted: list[ColumnElement[Any]] = [
            func.set_config("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION, True)
        ]
        if alone_with:
            wanted.append(func.pg_advisory_xact_lock(func.hashtextextended(alone_with, 0)))
        if not self._with_tokens:
            await connection.execute(select(*wanted))
            return None
        token = secrets.randbits(63)
        await connection.execute(insert(commits).values(token=token, made_at=DatabaseTime()).returning(*wanted))
        return token

    async def _commit(self, connection: AsyncConnection, token: int | None) -> None:
        try:
            await connection.commit()
        except (exc.DBAPIError, OSError):
            if token is None or not await self._was_committed(token):
                raise

    async def _was_committed(self, token: int) -> bool:
        """Whether the server made a change although its answer was lost. False also if the server does not say so.

        Writing the same token waits for a transaction that is still under way, and keeps it from being made later.
        """
        again = insert(commits).values(token=token, made_at=DatabaseTime()).on_conflict_do_nothing()
        until = time.monotonic() + self._timeouts.statement
        while (left := until - time.monotonic()) > 0:
            with suppress(exc.DBAPIError, exc.TimeoutError, OSError):
                async with asyncio.timeout(left), self._engine.begin() as connection:
                    is_new = (await connection.execute(again.returning(commits.c.token))).first() is not None
                return not is_new
            await asyncio.sleep(POLL_INTERVAL)
        return False

    async def forget_commits(self, connection: AsyncConnection) -> None:
        """Delete the tokens that are no longer needed."""
        if not self.on_sqlite:
            await connection.execute(delete(commits).where(commits.c.made_at < DatabaseTime(COMMIT_LIFETIME)))


def _log_failure(task: asyncio.Task[Any]) -> None:
    """Log the error of a transaction that nobody waits for any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        is_outage = isinstance(error, StorageUnavailable)
        logger.warning("a change could not be made: %s", error, exc_info=None if is_outage else error)


def in_groups(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yields the values in batches that fit into one statement."""
    for first in range(0, len(values), VALUES_PER_STATEMENT):
        yield values[first : first + VALUES_PER_STATEMENT]


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
        said = _said(error)
        if "locked" in said:
            raise StorageUnavailable("Another process has locked the database. Try again in a moment.") from error
        if "is full" in said or "No space left" in said:
            raise StorageUnavailable("The database's disk is full. Free some space.") from error
        if "disk I/O" in said:
            raise StorageUnavailable(
                f"The database's disk reports an error ({said}). Check whether it is full."
            ) from error
        raise StorageUnavailable(f"The database is not available now ({said}).") from error


def _said(error: Exception) -> str:
    """What the database or its driver says, on one line and without the names of their classes."""
    adapted = getattr(error, "orig", None)
    original = error if adapted is None else adapted.__cause__ or adapted
    first, *_ = str(original).strip().splitlines() or ["it does not answer"]
    return first.rstrip(".")
