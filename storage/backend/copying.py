"""Copies everything from one database into another, empty one, on SQLite or PostgreSQL, and compares it row by row.

The copy is one transaction of the target: all of it is made, or nothing. No bot may draw on either database meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import zip_longest
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    LargeBinary,
    Row,
    String,
    Table,
    bindparam,
    collate,
    exc,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.errors import DatabaseRefused
from storage.database import Database
from storage.schema import claims, commits, jobs, metadata

#: How many rows are in memory at a time; fewer for tables with files, whose rows have a few megabytes each.
ROWS, FILES = 1000, 4

#: Called with the current step ("copy" or "compare"), the number of rows done so far, and the total.
Progress: TypeAlias = Callable[[str, int, int], None]


async def copy_database(
    source: Database, target: Database, progress: Progress = lambda what, done, rows: None
) -> Mapping[str, int]:
    """Returns the number of rows by table.

    Raises DatabaseRefused, and leaves the target empty, if a bot draws on one of the two, the source is empty, the
    target is not, or a row does not fit into it or reads differently there.
    """
    async with _claimed(source), _claimed(target):
        async with source.unlimited_transactions().reading() as old, target.unlimited_transactions().writing() as new:
            if filled := [name for name, rows in (await _count(new)).items() if rows]:
                raise DatabaseRefused(
                    f"The database to copy into is not empty (it has rows in {', '.join(filled)}). Name a new one."
                )
            rows = await _count(old)
            if not any(rows.values()):
                raise DatabaseRefused(f"The database to copy from, {source.address}, is empty. Is its address right?")
            await _copy(old, new, _counted("copy", rows, progress))
            await _copy_counters(old, new)
            await _compare(old, new, _counted("compare", rows, progress))
            await target.claim.check(new)
            if not source.claim.is_held:
                raise DatabaseRefused("A bot started using the database to copy from. Stop it, then copy again.")
        await _analyze(target)
    return rows


@asynccontextmanager
async def _claimed(database: Database) -> AsyncIterator[None]:
    """Keeps bots from using the database during the block."""
    if not await database.claim.take_or_refuse():
        raise DatabaseRefused(f"A bot is using the database {database.address}. Stop it first, then copy again.")
    keeping = asyncio.create_task(database.claim.keep())
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def _count(connection: AsyncConnection) -> dict[str, int]:
    return {table.name: await connection.scalar(select(func.count()).select_from(table)) or 0 for table in _tables()}


def _tables() -> list[Table]:
    """All tables except those about the database itself, each after those that it refers to."""
    ordered = sorted(metadata.tables.values(), key=lambda table: _depth(table))
    return [table for table in ordered if table not in (claims, commits)]


def _depth(table: Table) -> int:
    """Jobs come before their pictures, though one may come from a picture of another job."""
    parents = {key.column.table for key in table.foreign_keys if table is not jobs and key.column.table is not table}
    return 1 + max(map(_depth, parents), default=0)


def _counted(what: str, rows: Mapping[str, int], progress: Progress) -> Callable[[int], None]:
    done, total = 0, sum(rows.values())
    progress(what, 0, total)

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(what, done, total)

    return count


async def _copy(old: AsyncConnection, new: AsyncConnection, count: Callable[[int], None]) -> None:
    for table in _tables():
        async for rows in _chunks(old, table):
            values = [dict(row._mapping) for row in rows]
            if table is jobs:  # its pictures are not there yet
                values = [{**each, "parent_picture_id": None} for each in values]
            try:
                await new.execute(insert(table), values)
            except exc.DBAPIError as error:
                raise DatabaseRefused(
                    f"A row of {table.name} could not be copied to the other database. It is between the one with "
                    f"{_name(table, rows[0])} and the one with {_name(table, rows[-1])}."
                ) from error
            count(len(rows))
    await _copy_parents(old, new)


async def _copy_parents(old: AsyncConnection, new: AsyncConnection) -> None:
    """Which picture a job was drawn from."""
    set_parent = update(jobs).where(jobs.c.id == bindparam("job_id")).values(parent_picture_id=bindparam("picture_id"))
    async for rows in _chunks(old, jobs):
        parents = [
            {"job_id": row.id, "picture_id": row.parent_picture_id} for row in rows if row.parent_picture_id is not None
        ]
        if parents:
            await new.execute(set_parent, parents)


async def _compare(old: AsyncConnection, new: AsyncConnection, count: Callable[[int], None]) -> None:
    for table in _tables():
        copies = _chunks(new, table)
        async for rows in _chunks(old, table):
            copied = [tuple(row) async for row in _next(copies)]
            for row, copy in zip_longest(map(tuple, rows), copied):
                if row != copy:
                    where = _name(table, next((each for each in rows if tuple(each) == row), rows[-1]))
                    raise DatabaseRefused(f"The row of {table.name} with {where} reads differently after copying.")
            count(len(rows))
        if [row async for row in _next(copies)]:
            raise DatabaseRefused(f"The table {table.name} has more rows after copying than before.")


async def _next(chunks: AsyncIterator[Sequence[Row[Any]]]) -> AsyncIterator[Row[Any]]:
    """The rows of the next chunk; none after the last one."""
    async for rows in chunks:
        for row in rows:
            yield row
        return


async def _chunks(connection: AsyncConnection, table: Table) -> AsyncIterator[Sequence[Row[Any]]]:
    """All rows in the order of their key, few at a time. Texts are sorted by their bytes on both databases."""
    size = FILES if any(isinstance(column.type, LargeBinary) for column in table.columns) else ROWS
    keys = _keys(table)
    on_postgresql = connection.dialect.name == "postgresql"
    sorted_by = [collate(key, "C") if on_postgresql and isinstance(key.type, String) else key for key in keys]
    query = select(table).order_by(*sorted_by).limit(size)
    rows = (await connection.execute(query)).all()
    while rows:
        yield rows
        last = tuple(rows[-1]._mapping[key.name] for key in keys)
        rows = (await connection.execute(query.where(tuple_(*sorted_by) > tuple_(*last)))).all()


def _name(table: Table, row: Row[Any]) -> str:
    return ", ".join(f"{key.name} {row._mapping[key]}" for key in _keys(table))


def _keys(table: Table) -> list[Column[Any]]:
    return list(table.primary_key.columns)


async def _copy_counters(old: AsyncConnection, new: AsyncConnection) -> None:
    """An id is never given out twice, even if its row was deleted: messages of Discord name ids."""
    for table in _tables():
        if table.autoincrement_column is None or (latest := await _latest_id(old, table)) is None:
            continue
        if new.dialect.name == "postgresql":
            await new.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :latest)"),
                {"table": table.name, "latest": latest},
            )
        elif table.dialect_options["sqlite"]["autoincrement"]:
            await new.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
            await new.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :latest)"),
                {"table": table.name, "latest": latest},
            )


async def _latest_id(connection: AsyncConnection, table: Table) -> int | None:
    """The id given out last; None if there was none."""
    if connection.dialect.name == "sqlite":
        asked = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
    else:
        asked = text("SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:table, 'id') AS regclass))")
    latest: int | None = await connection.scalar(asked, {"table": table.name})
    return latest or await connection.scalar(select(func.max(table.c.id)))


async def _analyze(database: Database) -> None:
    """Update the statistics; without them, PostgreSQL would plan its first queries for empty tables."""
    async with database.unlimited_transactions().writing() as connection:
        await connection.execute(text("ANALYZE"))
