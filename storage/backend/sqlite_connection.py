"""A connection to SQLite that needs one thread switch and back per statement.

aiosqlite makes a trip each to create a cursor, execute, fetch and close. A trip is two switches between threads, which
cost more than most statements. Here the four are one.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import aiosqlite

T = TypeVar("T")

#: How many rows come with the statement itself. Most results are shorter; the rest of longer ones is fetched later.
ROWS = 100


class SingleTripConnection(aiosqlite.Connection):
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
        await self._connection.trip(self._run, sqlite3.Cursor.execute, statement, parameters)
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Self:
        await self._connection.trip(self._run, sqlite3.Cursor.executemany, statement, parameters)
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

    def _run(self, execute: Any, statement: str, parameters: Sequence[Any]) -> None:
        """In the connection's thread."""
        cursor = self._open = self._connection._conn.cursor()
        execute(cursor, statement, parameters)
        self._rows = cursor.fetchmany(ROWS)
        self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid
        if len(self._rows) < ROWS:
            cursor.close()
            self._open = None


async def connect(database: str, **settings: Any) -> SingleTripConnection:
    """`settings` are those of `sqlite3.connect`."""
    connection = SingleTripConnection(lambda: sqlite3.connect(database, **settings), iter_chunk_size=ROWS)
    connection._thread.daemon = True
    await connection
    return connection
