"""PostgreSQL: connections with timeouts, which work behind pgbouncer in transaction mode."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import URL, event, text
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from storage.backend.address import INVALID, PASSED_ON, SCHEMA, names_several_hosts
from storage.backend.errors import DatabaseRefused, DatabaseTimeouts

T = TypeVar("T")

#: Connections that are kept, and how many more there may be at busy times.
POOL_SIZE, MAX_OVERFLOW = 5, 10
#: Seconds after which a connection is replaced before its next use, since firewalls drop idle ones silently.
MAX_CONNECTION_AGE = 240
#: Encodings that can store whatever people type. SQL_ASCII stores any bytes.
ENCODINGS = ("UTF8", "SQL_ASCII")
#: SQLSTATEs of missing privileges, in a schema and on a schema.
NO_RIGHT = ("42501", "3F000")
#: SQLSTATE of a change that a server refuses because it is a standby, or was made one.
READ_ONLY = "25006"


def postgresql_engine(
    url: URL, timeouts: DatabaseTimeouts, kept: int = POOL_SIZE, more: int = MAX_OVERFLOW
) -> AsyncEngine:
    """Raises DatabaseRefused without the package asyncpg. `kept`, `more`: how many connections."""
    engine = _create(
        url,
        {"timeout": timeouts.connect, "command_timeout": timeouts.statement},
        pool_size=kept,
        max_overflow=more,
        pool_timeout=timeouts.connect,
        pool_recycle=MAX_CONNECTION_AGE,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def replace_closed(connection: Any, record: Any, proxy: Any) -> None:
        """After a restart of the server. Asking the server instead would cost two trips each time."""
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    @event.listens_for(engine.sync_engine, "handle_error")
    def give_up(context: Any) -> None:
        """Discard a connection that did not answer in time: a rollback would wait for the server again.

        And one to a standby: after a failover another server has the address, or another address is the primary's.
        """
        error = context.original_exception
        if isinstance(error, TimeoutError) or getattr(error, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True

    return engine


def unlimited_postgresql_engine(url: URL, timeouts: DatabaseTimeouts) -> AsyncEngine:
    """Without a limit on statements: for migrations, and for copying whole databases."""
    return _create(url, {"timeout": timeouts.connect}, poolclass=NullPool)


async def examine_server(connection: AsyncConnection) -> None:
    """Raises DatabaseRefused where the database cannot keep every text."""
    encoding = await connection.scalar(text("SHOW server_encoding"))
    if encoding not in ENCODINGS:
        raise DatabaseRefused(
            f"The PostgreSQL database has the encoding {encoding}, which cannot store every text. Create one with: "
            "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0."
        )


async def create_schema(connection: AsyncConnection, schema: str) -> None:
    """Unless it is there: even then PostgreSQL would want the right to create one."""
    found = text("SELECT 1 FROM pg_namespace WHERE nspname = :schema")
    if await connection.scalar(found, {"schema": schema}) is None:
        await connection.execute(CreateSchema(schema, if_not_exists=True))


def lacks_right(error: Exception) -> bool:
    """Whether PostgreSQL refused something because the user has no right to it.

    error: SQLAlchemy's, or one that it caused.
    """
    return any(getattr(getattr(each, "orig", None), "sqlstate", None) in NO_RIGHT for each in (error, error.__cause__))


def schema_of(url: URL) -> str | None:
    """The NAME in `?schema=NAME`, the schema that has the tables; None without it."""
    schema = url.query.get(SCHEMA)
    return schema if isinstance(schema, str) else None


async def connect_to_one(
    connect: Callable[..., Awaitable[T]],
    passing: tuple[type[Exception], ...],
    *,
    host: Sequence[str],
    port: Sequence[int],
    timeout: float,
    **options: Any,
) -> T:
    """`connect` to the first host that does not raise a `passing` error; each has its share of the time.

    asyncpg's own way would spend all the time on the first host, if that is switched off or frozen.
    """
    *before, (last, its_port) = zip(host, port, strict=True)
    for each, at in before:
        with suppress(*passing):
            return await connect(host=each, port=at, timeout=timeout / len(host), **options)
    return await connect(host=last, port=its_port, timeout=timeout / len(host), **options)


def _create(url: URL, connect_args: dict[str, Any], **pool: Any) -> AsyncEngine:
    try:
        import asyncpg
    except ModuleNotFoundError as error:
        raise DatabaseRefused("PostgreSQL needs the package asyncpg: pip install 'anima-bot[postgres]'.") from error

    class BoundedConnection(asyncpg.Connection):  # type: ignore[misc]
        async def close(self, *, timeout: float | None = None) -> None:
            """asyncpg's own waits for a server that does not answer a cancelled statement, whatever its timeout."""
            try:
                async with asyncio.timeout(timeout):
                    await super().close(timeout=timeout)
            except TimeoutError:
                self.terminate()

    # Nothing stays prepared from one statement to the next: pgbouncer may run them on different connections.
    unnamed = {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }
    if (schema := schema_of(url)) is not None:
        connect_args = {**connect_args, "server_settings": {"search_path": schema}}
    if libpq := {name: url.query[name] for name in PASSED_ON if name in url.query}:
        connect_args = {**connect_args, "dsn": f"postgresql://?{urlencode(libpq)}"}
    if names_several_hosts(url):
        passing = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
        connect_args = {**connect_args, "async_creator_fn": partial(connect_to_one, asyncpg.connect, passing)}
    try:
        return create_async_engine(
            url.difference_update_query([SCHEMA, *PASSED_ON]).set(drivername="postgresql+asyncpg"),
            connect_args={"connection_class": BoundedConnection, **unnamed, **connect_args},
            hide_parameters=True,
            **pool,
        )
    except (ArgumentError, ValueError) as error:  # several hosts, and not a port for each
        raise DatabaseRefused(INVALID) from error
