"""`anima database copy` copies everything from one database to another. Also the database checks of `anima doctor`."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bot.cli import CheckResult, Commands, fail, file_size, nearest_existing, ok, problem, warning

SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?!:memory:)([^?]+)(?:\?.*)?")
POSTGRESQL = re.compile(r"postgres(?:ql)?(?:\+\w+)?://.+")
DATABASE_TIMEOUT = 10.0
COPYING = {"copy": "copying", "compare": "comparing"}


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser("database", help="copy the bot's data to another database")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    copy = actions.add_parser(
        "copy",
        help="copy everything from one database into another, empty one",
        description="Copies everything from one database into another, empty one, and compares every row. Stop the bot "
        "first. If anything goes wrong, the other database stays empty. The first one is only migrated, as at every "
        "start of the bot; keep it until the bot works with the new one.",
    )
    copy.add_argument("source", metavar="FROM", help="where the data is, for example sqlite:///anima.db")
    copy.add_argument(
        "target", metavar="TO", help="an empty database, for example postgresql://user:password@host/name"
    )
    copy.set_defaults(command=_copy)


def _copy(options: argparse.Namespace) -> None:
    from bot.cli.startup_errors import explain

    try:
        asyncio.run(_copy_all(options.source, options.target))
    except Exception as error:
        if (sentence := explain(error)) is None:
            raise
        fail(sentence)


async def _copy_all(source: str, target: str) -> None:
    from tqdm import tqdm

    from storage.backend.copying import copy_database
    from storage.database import Database

    old = await Database.open(source, must_exist=True)
    try:
        new = await Database.open(target)
        try:
            with closing(tqdm(unit=" rows", total=0)) as bar:

                def show(what: str, done: int, rows: int) -> None:
                    bar.set_description_str(COPYING[what])
                    bar.total, bar.n = rows, done
                    bar.refresh()

                rows = await copy_database(old, new, show)
            counted = "\n".join(f"{table:<12} {count:>12,}" for table, count in rows.items())
            print(f"{counted}\nEvery row was compared. Now set DATABASE_URL to the new address ({new.address}).")
        finally:
            await new.close()
    finally:
        await old.close()


def check_database(address: str) -> Iterator[CheckResult]:
    """The results of `anima doctor` for DATABASE_URL."""
    if match := SQLITE.fullmatch(address):
        yield from _sqlite(Path(match[1]))
    elif POSTGRESQL.fullmatch(address):
        yield asyncio.run(_postgresql(address))
    else:
        yield problem("DATABASE_URL is not a supported address. It looks like sqlite:///data/anima.db.")


def _sqlite(file: Path) -> Iterator[CheckResult]:
    from storage.backend.sqlite import NOT_ON_THIS_COMPUTER, is_on_network_share, synced

    if is_on_network_share(file):
        yield problem(f"The database {file} {NOT_ON_THIS_COMPUTER}")
        return
    if (sentence := synced(file.absolute())) is not None:
        yield warning(sentence)
    yield _sqlite_file(file)


def _sqlite_file(file: Path) -> CheckResult:
    from storage.backend.sqlite import quick_check

    if not file.exists():
        folder = nearest_existing(file.parent)
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return ok(f"{file} will be created when the bot first runs")
        return problem(f"The database {file} cannot be created: allow writing in {folder}, or fix DATABASE_URL.")
    if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK | os.X_OK)):
        return problem(f"The database {file} or its folder is read-only: allow this user to write to both.")
    try:
        verdict = quick_check(file)
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        return problem(f"The database {file} cannot be read ({verdict}): restore a backup, or move the file away.")
    return ok(f"{file} is intact, {file_size(file.stat().st_size)}")


async def _postgresql(address: str) -> CheckResult:
    from storage.backend.errors import DatabaseRefused, DatabaseTimeouts, StorageUnavailable
    from storage.database import ask_server

    try:
        server = await ask_server(address, DatabaseTimeouts(DATABASE_TIMEOUT, DATABASE_TIMEOUT))
    except DatabaseRefused as error:
        return problem(str(error))
    except StorageUnavailable as error:
        return problem(f"The PostgreSQL server in DATABASE_URL cannot be used. {error}")
    if server.is_read_only:
        return problem(
            f"PostgreSQL {server.version} responds, but as a read-only standby. DATABASE_URL must name the primary."
        )
    if not server.may_create:
        return warning(
            f"PostgreSQL {server.version} responds, but its user may not create tables, which the first start and "
            "upgrades need. Make the user its owner: ALTER DATABASE name OWNER TO user."
        )
    return ok(f"PostgreSQL {server.version} responds")
