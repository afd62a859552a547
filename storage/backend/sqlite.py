"""SQLite: checks the file before anything is written, and sets up each connection."""

import logging
import os
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.backend import sqlite_connection
from storage.backend.errors import DatabaseRefused

logger = logging.getLogger(__name__)

#: The first version of SQLite with RETURNING.
MIN_VERSION = (3, 35)

#: Seconds that a write waits for another process to finish writing.
BUSY_SECONDS = 10

#: Seconds between two attempts to change the journal's mode.
RETRY_INTERVAL = 0.02

#: How a transaction begins by default.
READING = "BEGIN"

#: Readers and the writer do not wait for each other.
WAL = "PRAGMA journal_mode = WAL"
PRAGMAS = (
    "PRAGMA synchronous = FULL",  # a commit survives a power failure
    "PRAGMA fullfsync = ON",  # on macOS too, where fsync leaves it in the disk's cache; without effect elsewhere
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # deleted data is overwritten in the file
    "PRAGMA journal_size_limit = 67108864",
)

NOT_ON_THIS_COMPUTER = (
    "is on a network drive or another disk on which SQLite cannot work safely. It must be on a disk of this computer: "
    "choose a local folder in DATABASE_URL, or use PostgreSQL."
)
#: Parts of a path that programs synchronize with other computers, in lower case.
SYNCED = ("onedrive", "dropbox", "google drive", "googledrive", "iclouddrive", "mobile documents", "cloudstorage")


def sqlite_engine(url: URL) -> AsyncEngine:
    """Begins transactions itself, because Python's sqlite3 would begin them only at the first change."""
    settings = {"isolation_level": None, "timeout": BUSY_SECONDS}
    engine = create_async_engine(url, connect_args=settings, hide_parameters=True)

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, settings: Any) -> Any:
        return dialect.connect(partial(open_file, *arguments, **settings), async_creator_fn=sqlite_connection.connect)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        if statement := connection.get_execution_options().get("begin", READING):
            if statement == READING:
                connection.connection.driver_connection.begin_reading()  # type: ignore[union-attr]
            else:
                connection.exec_driver_sql(statement)

    return engine


def open_file(database: str, **settings: Any) -> sqlite3.Connection:
    """`settings` are those of `sqlite3.connect`. Raises DatabaseRefused where SQLite cannot work safely."""
    connection: sqlite3.Connection = sqlite3.connect(database, **settings)
    try:
        if use_wal(connection) != "wal":
            raise DatabaseRefused(f"The database {database} {NOT_ON_THIS_COMPUTER}")
        for pragma in PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def use_wal(connection: sqlite3.Connection) -> str:
    """The mode that the database's journal is in afterwards.

    While another connection changes the mode of the same new file, or writes its first tables, SQLite does not wait: it
    fails at once.
    """
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode: str = connection.execute(WAL).fetchone()[0]
            return mode
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(RETRY_INTERVAL)


def examine(file: Path) -> None:
    """Checks that `file` is an intact database, or creates an empty one. Raises DatabaseRefused."""
    if sqlite3.sqlite_version_info < MIN_VERSION:
        raise DatabaseRefused(
            f"This Python comes with SQLite {sqlite3.sqlite_version}, but 3.35 or later is needed. Update Python."
        )
    if is_on_network_share(file):
        raise DatabaseRefused(f"The database {file} {NOT_ON_THIS_COMPUTER}")
    if (warning := synced(file.absolute())) is not None:
        logger.warning("%s", warning)
    make_folder_for(file)
    try:
        verdict = quick_check(file)
    except sqlite3.DatabaseError as error:
        verdict = str(error)
        if primary_code(error) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DatabaseRefused(
                f"The database {file} cannot be read now ({verdict}). Try again in a moment."
            ) from error
    if verdict != "ok":
        raise DatabaseRefused(
            f"The database {file} is damaged ({verdict}). It was left unchanged. Restore a backup, or "
            "move the file away."
        )


def is_on_network_share(file: PurePath) -> bool:
    """Whether Windows finds `file` on another computer: \\\\server\\share\\anima.db."""
    return isinstance(file, PureWindowsPath) and file.drive.startswith("\\\\")


def synced(file: PurePath) -> str | None:
    """A warning for a file in a folder that a program synchronizes with other computers; None elsewhere."""
    if not any(part.lower().startswith(SYNCED) for part in file.parent.parts):
        return None
    return (
        f"The database {file} is in a folder that is synchronized with other computers. The program that does this may "
        "lock the file, or mix old and new parts of it: move the bot's folder elsewhere."
    )


def make_folder_for(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise DatabaseRefused(
                f"The folder {file.parent} is read-only, but the database and its log are written there. Allow this "
                "user to write to it, or choose another folder."
            )
        file.touch(mode=0o600)
    except OSError as error:
        raise DatabaseRefused(
            f"The database {file} cannot be written ({error.strerror}). Allow this user to write in "
            f"{file.parent.absolute()}, or choose another folder."
        ) from error
    if not os.access(file, os.W_OK):
        raise DatabaseRefused(f"The database {file} is read-only. Allow this user to write to it.")


def quick_check(file: Path) -> str:
    """SQLite's verdict, "ok" if the file is intact. Opens it read-only, so that a damaged one stays as it is."""
    try:
        return _quick_check(file, "ro")
    except sqlite3.DatabaseError as error:
        if primary_code(error) != sqlite3.SQLITE_READONLY:
            raise
    # A process was killed in the middle of a change, which has to be rolled back before anything can be read.
    return _quick_check(file, "rw")


def _quick_check(file: Path, mode: str) -> str:
    with closing(
        sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS)
    ) as connection:
        verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        return " ".join(verdict.split())


def primary_code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF
