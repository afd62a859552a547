"""Opens the database at an address, migrates its tables, and gives access to what it stores."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.backend.address import read_address
from storage.backend.clock import Clock, utc_now
from storage.backend.drawing_claim import DrawingClaim
from storage.backend.errors import DatabaseRefused, DatabaseTimeouts, StorageUnavailable
from storage.backend.lock import FileLock
from storage.backend.postgresql import (
    create_schema,
    examine_server,
    lacks_right,
    postgresql_engine,
    schema_of,
    unlimited_postgresql_engine,
)
from storage.backend.sqlite import examine, sqlite_engine
from storage.backend.transactions import Transactions
from storage.gallery.shares import Shares
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


@dataclass(frozen=True)
class ServerState:
    """version: for example "15.3". is_read_only: nobody can change anything, for example because it is a standby.

    may_create: whether the bot may create its tables there.
    """

    version: str
    is_read_only: bool
    may_create: bool


async def ask_server(address: str, timeouts: DatabaseTimeouts) -> ServerState:
    """Ask the PostgreSQL server at an address about itself. Raises DatabaseRefused, StorageUnavailable."""
    engine = postgresql_engine(read_address(address), timeouts)
    asked = text(
        "SELECT current_setting('server_version'), current_setting('transaction_read_only') = 'on', coalesce("
        "has_schema_privilege(current_schema(), 'CREATE'), has_database_privilege(current_database(), 'CREATE'))"
    )
    try:
        async with Transactions(engine, timeouts).reading() as connection:
            await examine_server(connection)
            version, is_read_only, may_create = (await connection.execute(asked)).one()
    finally:
        await engine.dispose()
    return ServerState(version.partition(" ")[0], is_read_only, may_create)


class Database:
    """Created by `await Database.open(url)`, closed by `await database.close()`."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        *,
        lock: FileLock | None = None,
        timeouts: DatabaseTimeouts | None = None,
        unlimited: AsyncEngine | None = None,
        claiming: AsyncEngine | None = None,
    ) -> None:
        """`unlimited`: an engine without a limit on statements, if `engine` has one.

        `claiming`: one for the claim, which must not be lost because all connections of `engine` are busy.
        """
        self._engine = engine
        self._unlimited = unlimited or engine
        #: Without the password.
        self.address = engine.url.set(drivername=engine.url.get_backend_name()).render_as_string()
        self.transactions = Transactions(engine, timeouts)
        #: Which bot draws on this database.
        self._claiming = claiming or engine
        self._claims = self.transactions if claiming is None else Transactions(claiming, timeouts)
        self.claim = DrawingClaim(self._claims, lock)
        self.jobs = Jobs(self.transactions, clock, self.claim)
        self.images = Images(self.transactions, clock)
        self.source_images = SourceImages(self.transactions)
        self.quotas = Quotas(self.transactions, clock)
        self.preferences = Preferences(self.transactions, clock)
        self.servers = Servers(self.transactions, clock)
        self.unanswered = Unanswered(self.transactions, clock)
        self.reports = Reports(self.transactions, clock)
        self.shares = Shares(self.transactions, clock, self.claim)
        self.privacy = Privacy(self.transactions, clock)

    @classmethod
    async def open(
        cls,
        address: str,
        clock: Clock = utc_now,
        timeouts: DatabaseTimeouts | None = None,
        *,
        must_exist: bool = False,
    ) -> "Database":
        """Open `sqlite:///path/to/file.db` (created if it does not exist) or `postgresql://user:password@host/name`.

        On PostgreSQL, `?schema=name` keeps the tables in a schema of their own, and libpq's parameters for TLS and for
        several hosts may be there too. `timeouts` are for PostgreSQL. `must_exist`: refuse to create a file.

        Raises DatabaseRefused, in a sentence, if the address is invalid, the file is damaged or read-only, the server
        cannot be reached, or a newer version wrote the database. Nothing is changed then.
        """
        url = read_address(address)
        if url.get_backend_name() == "sqlite":
            database = await cls._open_sqlite(url, clock, must_exist)
        else:
            database = cls._open_postgresql(url, clock, timeouts or DatabaseTimeouts())
        database.address = url.render_as_string()
        try:
            async with database.unlimited_transactions().writing(alone_with="migrations") as connection:
                if not database.transactions.on_sqlite:
                    await examine_server(connection)
                    if (schema := schema_of(url)) is not None:
                        await create_schema(connection, schema)
                await connection.run_sync(upgrade)
        except (StorageUnavailable, ProgrammingError) as error:
            await database.close()
            if lacks_right(error):
                raise DatabaseRefused(
                    f"The user of the database {database.address} may not create or change tables in it. Make the "
                    "user its owner: ALTER DATABASE name OWNER TO user."
                ) from error
            if isinstance(error, ProgrammingError):
                raise
            raise DatabaseRefused(f"The database {database.address} could not be opened. {error}") from error
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    async def _open_sqlite(cls, url: URL, clock: Clock, must_exist: bool) -> "Database":
        if not url.database or url.database == ":memory:":
            raise DatabaseRefused("DATABASE_URL names no file. It looks like sqlite:///data/anima.db.")
        file = Path(url.database)
        if must_exist and not file.exists():
            raise DatabaseRefused(f"There is no database {file.absolute()}.")
        await asyncio.to_thread(examine, file)
        lock = FileLock(file.with_name(f"{file.name}-claim"))
        return cls(sqlite_engine(url.set(drivername="sqlite+aiosqlite")), clock, lock=lock)

    @classmethod
    def _open_postgresql(cls, url: URL, clock: Clock, timeouts: DatabaseTimeouts) -> "Database":
        engine, unlimited = postgresql_engine(url, timeouts), unlimited_postgresql_engine(url, timeouts)
        claiming = postgresql_engine(url, timeouts, kept=1, more=1)
        return cls(engine, clock, timeouts=timeouts, unlimited=unlimited, claiming=claiming)

    def unlimited_transactions(self) -> Transactions:
        """Those of work that may take minutes: no statement is given up because it takes long."""
        return (
            self.transactions if self._unlimited is self._engine else Transactions(self._unlimited, with_tokens=False)
        )

    async def lock(self) -> bool:
        """Claim this database for one bot. False: another process has it, and this one should stop.

        Held until `close`, or until the process ends; see `DrawingClaim`, which may also be lost.
        """
        return await self.claim.take()

    async def close(self) -> None:
        """Wait for running transactions, also for those whose caller was cancelled. Later ones are refused."""
        await self.transactions.drain()
        await self.claim.release()
        await self.transactions.close()
        await self._claims.close()
        await self._claiming.dispose()
        await self._engine.dispose()
        await self._unlimited.dispose()
