"""A connection to SQLite that needs one thread switch and back per statement.

aiosqlite makes a trip each to create a cursor, execute, fetch and close. A trip is two switches between threads, which
cost more than most statements. Here the four are one. The BEGIN of a transaction that only reads goes along with its
first statement, which is when SQLite takes its snapshot anyway, and nobody waits for its end.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import aiosqlite

T = TypeVar("T")

#: How many rows come with the statement itself. Most results are shorter; the rest of longer ones is fetched later.
ROWS = 100


class SingleTripConnection(aiosqlite.Connection):
    #: Whether the transaction only reads, and whether its BEGIN must still be sent to the thread.
    _only_reads = False
    _is_to_begin = False

    def begin_reading(self) -> None:
        """The next statement begins a transaction, whose end is a rollback."""
        self._only_reads = self._is_to_begin = True

    def takes_begin(self) -> bool:
        """Whether the statement that asks has to begin the transaction; only the first one is told so."""
        takes, self._is_to_begin = self._is_to_begin, False
        return takes

    async def commit(self) -> None:
        self._is_to_begin = self._only_reads = False
        await super().commit()

    async def rollback(self) -> None:
        has_not_begun, only_reads = self.takes_begin(), self._only_reads
        self._only_reads = False
        if has_not_begun:
            return
        if only_reads:
            self._tx.put_nowait((None, self._conn.rollback))  # comes before any later statement of this connection
        else:
            await super().rollback()

    def cursor(self) -> "SingleTripCursor":  # type: ignore[override]
        return SingleTripCursor(self)

    async def trip(self, function: Callable[..., T], *args: Any) -> T:
        """Calls `function` in the connection's thread."""
        answer: T = await self._execute(function, *args)  # type: ignore[no-untyped-call]
        return answer


class SingleTripCursor:
    """The part of aiosqlite's cursor that SQLAlchemy uses."""

    def __init__(self, connection: SingleTripConnection) -> None:
        self._connection = connection
        self._open: sqlite3.Cursor | None = None  # only of an answer that has more rows
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Self:
        begins = self._connection.takes_begin()
        await self._connection.trip(self._run, sqlite3.Cursor.execute, statement, parameters, begins)
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        begins = self._connection.takes_begin()
        await self._connection.trip(self._run, sqlite3.Cursor.executemany, statement, parameters, begins)
        return self

    async def fetchmany(self, size: int) -> list[Any]:
        if self._open is not None and len(self._rows) < size:
            self._rows += await self._connection.trip(self._open.fetchmany, max(size, ROWS))
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    async def fetchall(self) -> list[Any]:
        if self._open is not None:
            self._rows += await self._connection.trip(self._open.fetchall)
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        if self._open is not None:
            cursor, self._open = self._open, None
            await self._connection.trip(cursor.close)

    def _run(self, execute: Any, statement: str, parameters: Sequence[Any], begins: bool) -> None:
        """In the connection's thread."""
        if begins:
            self._connection._conn.execute("BEGIN").close()
        cursor = self._open = self._connection._conn.cursor()
        execute(cursor, statement, parameters)
        self._rows = cursor.fetchmany(ROWS)
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        if len(self._rows) < ROWS:
            cursor.close()
            self._open = None


async def connect(connector: Callable[[], sqlite3.Connection]) -> SingleTripConnection:
    """`connector` is called in the connection's thread, whose errors are raised here."""
    connection = SingleTripConnection(connector, iter_chunk_size=ROWS)
    connection._thread.daemon = True
    try:
        await connection
    except Exception:
        connection._thread.join()  # it is ending, and reports that to the event loop, which must not be closed yet
        raise
    return connection
