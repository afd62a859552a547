"""Opens the database at an address, migrates its tables, and gives access to what it stores."""

import asyncio
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.backend.clock import Clock, utc_now
from storage.backend.errors import DatabaseRefused
from storage.backend.lock import InstanceLock, PostgresqlLock, SqliteLock
from storage.backend.sqlite import examine, sqlite_engine
from storage.backend.transactions import StorageUnavailable, Transactions
from storage.images import Images
from storage.jobs import Jobs
from storage.migrations import upgrade
from storage.preferences import Preferences
from storage.privacy import Privacy
from storage.quotas import Quotas
from storage.reports import Reports
from storage.servers import Servers
from storage.source_images import SourceImages
from storage.unanswered import Unanswered


class Database:
    """Created by `await Database.open(url)`, closed by `await database.close()`."""

    def __init__(self, engine: AsyncEngine, lock: InstanceLock, clock: Clock) -> None:
        self._engine = engine
        self._lock = lock
        self.transactions = Transactions(engine)
        self.jobs = Jobs(self.transactions, clock)
        self.images = Images(self.transactions, clock)
        self.source_images = SourceImages(self.transactions)
        self.quotas = Quotas(self.transactions, clock)
        self.preferences = Preferences(self.transactions, clock)
        self.servers = Servers(self.transactions, clock)
        self.unanswered = Unanswered(self.transactions, clock)
        self.reports = Reports(self.transactions, clock)
        self.privacy = Privacy(self.transactions, clock)

    @classmethod
    async def open(cls, address: str, clock: Clock = utc_now) -> "Database":
        """Open `sqlite:///path/to/file.db` (created if it does not exist) or `postgresql://user:password@host/name`.

        Raises DatabaseRefused, in a sentence, if the address is invalid, the file is damaged or read-only, the
        server cannot be reached, or a newer version wrote the database. Nothing is changed then.
        """
        url = _read(address)
        if url.get_backend_name() == "sqlite":
            database = await cls._open_sqlite(url, clock)
        else:
            database = cls._open_postgresql(url, clock)
        try:
            async with database.transactions.writing(alone_with="migrations") as connection:
                await connection.run_sync(upgrade)
        except StorageUnavailable as error:
            await database.close()
            raise DatabaseRefused(f"The database {url.render_as_string()} could not be opened. {error}") from error
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    async def _open_sqlite(cls, url: URL, clock: Clock) -> "Database":
        if not url.database or url.database == ":memory:":
            raise DatabaseRefused("DATABASE_URL names no file. It looks like sqlite:///data/anima.db.")
        file = Path(url.database)
        await asyncio.to_thread(examine, file)
        lock = SqliteLock(file.with_name(f"{file.name}-claim"))
        return cls(sqlite_engine(url.set(drivername="sqlite+aiosqlite")), lock, clock)

    @classmethod
    def _open_postgresql(cls, url: URL, clock: Clock) -> "Database":
        try:
            engine = create_async_engine(
                url.set(drivername="postgresql+asyncpg"), pool_pre_ping=True, hide_parameters=True
            )
        except ModuleNotFoundError as error:
            raise DatabaseRefused("PostgreSQL needs the package asyncpg: pip install 'anima-bot[postgres]'.") from error
        return cls(engine, PostgresqlLock(engine), clock)

    async def lock(self) -> bool:
        """Lock this database for one bot. False: another process has the lock, and this one should stop.

        Held until `close`, or until the process ends.
        """
        return await self._lock.acquire()

    async def close(self) -> None:
        """Wait for running transactions, also for those whose caller was cancelled."""
        await self.transactions.drain()
        await self._lock.release()
        await self._engine.dispose()


def _read(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise DatabaseRefused("DATABASE_URL is not a valid address. It looks like sqlite:///data/anima.db.") from error
    if url.get_backend_name() not in ("sqlite", "postgresql", "postgres"):
        raise DatabaseRefused(
            f"DATABASE_URL starts with {url.drivername}://, but only sqlite:// and postgresql:// are supported."
        )
    return url
