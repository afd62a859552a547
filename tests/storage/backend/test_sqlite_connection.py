"""SQLite's connection: few thread switches, and correct results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text

from storage.backend.sqlite_connection import ROWS
from storage.database import Database


@contextmanager
def trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    made: list[Any] = []
    execute = aiosqlite.Connection._execute

    async def counted(self: aiosqlite.Connection, function: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(function)
        return await execute(self, function, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(aiosqlite.Connection, "_execute", counted)
        yield made


def numbers(count: int) -> Any:
    return text(f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {count}) SELECT x FROM n")


async def test_a_question_is_one_trip(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with trips(monkeypatch) as made:
        async with sqlite.transactions.reading() as connection:
            assert (await connection.scalars(numbers(3))).all() == [1, 2, 3]
    assert len(made) == 1


async def test_all_answers_of_a_transaction_are_of_one_moment(sqlite: Database) -> None:
    count = text("SELECT count(*) FROM preferences")
    async with sqlite.transactions.reading() as connection:
        before = await connection.scalar(count)
        await sqlite.preferences.change_defaults(1, {"steps": 12})
        assert await connection.scalar(count) == before
    async with sqlite.transactions.reading() as connection:
        assert await connection.scalar(count) == before + 1


async def test_what_is_written_where_only_reading_was_announced_is_not_kept(sqlite: Database) -> None:
    for _ in range(2):
        async with sqlite.transactions.reading() as connection:
            await connection.execute(text("CREATE TABLE proof (x)"))
    async with sqlite.transactions.reading():
        pass  # without a statement
    async with sqlite.transactions.writing() as connection:
        await connection.execute(text("CREATE TABLE proof (x)"))


@pytest.mark.parametrize("count", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
async def test_every_row_comes_once_and_in_order(sqlite: Database, count: int) -> None:
    async with sqlite.transactions.reading() as connection:
        assert (await connection.scalars(numbers(count))).all() == list(range(1, count + 1))
        streamed = [row[0] async for row in await connection.stream(numbers(count))]
        assert streamed == list(range(1, count + 1))
        parts = [len(part) async for part in (await connection.stream(numbers(count))).partitions(70)]
        assert sum(parts) == count and all(part == 70 for part in parts[:-1])


async def test_an_answer_that_is_not_read_to_its_end_does_not_keep_the_writers_out(sqlite: Database) -> None:
    async with sqlite.transactions.writing() as connection:
        result = await connection.stream(numbers(10 * ROWS))
        assert (await result.fetchone()) == (1,)
    async with sqlite.transactions.writing() as connection:
        await connection.execute(text("CREATE TABLE proof (x)"))
    await sqlite.transactions.empty_log()
