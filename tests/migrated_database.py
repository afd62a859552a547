"""Databases of this version, copied for each test: to migrate an empty one takes longer than most tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from weakref import WeakSet

from storage.database import Database
from tests.postgresql_server import PostgresqlServer

_template: bytes | None = None
#: The servers that have a database to be copied.
_prepared: WeakSet[PostgresqlServer] = WeakSet()


async def put_migrated_database(file: Path) -> None:
    """Creates the file, if it does not exist."""
    global _template
    if _template is None:
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder) / "template.db"
            await (await Database.open(f"sqlite:///{template}")).close()
            _template = template.read_bytes()
    if not file.exists():
        file.write_bytes(_template)


async def put_migrated_tables(server: PostgresqlServer) -> None:
    """Puts this version's tables, and nothing else, into the server's database."""
    if server not in _prepared:
        await server.execute("CREATE DATABASE migrated", "SELECT 1")
        await (await Database.open(server.url("migrated"))).close()
        _prepared.add(server)
    again = ("DROP DATABASE postgres WITH (FORCE)", "CREATE DATABASE postgres TEMPLATE migrated", "SELECT 1")
    await server.execute(*again, database="template1")


async def put_migrated(address: str, server: PostgresqlServer) -> None:
    """Puts this version's tables where there is nothing yet: into a SQLite file, or into the server's database."""
    if address.startswith("sqlite"):
        await put_migrated_database(Path(address.removeprefix("sqlite:///")))
    else:
        await put_migrated_tables(server)
