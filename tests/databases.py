"""Where the tests' bots keep their data: a file each, or with DATABASE_URL a database each on that PostgreSQL server.

The database that DATABASE_URL names is not touched. Those that are created there are dropped after the test.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from sqlalchemy import URL, make_url

from storage.database import Database
from tests.migrated_database import put_migrated_database

#: Seconds to connect; many, because the machine may be busy.
TIMEOUT = 240.0


_created: list[str] = []
#: The server's database that is copied, by the server's address: to migrate an empty one takes longer.
_templates: dict[str, str] = {}


def on_postgresql() -> bool:
    return _server() is not None


async def new_database(file: Path) -> str:
    """The address of a new, empty database: `file`, or one on the server."""
    if (server := _server()) is None:
        await put_migrated_database(file)
        return f"sqlite:///{file}"
    name = f"anima_test_{secrets.token_hex(8)}"
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {await _template(server)}")
    _created.append(name)
    return _address(server, name)


async def _template(server: URL) -> str:
    """Stays on the server until the end of the tests."""
    if (name := _templates.get(str(server))) is None:
        name = _templates[str(server)] = f"anima_test_template_{secrets.token_hex(8)}"
        await _execute(server, f"CREATE DATABASE {name}")
        await (await Database.open(_address(server, name))).close()
    return name


async def drop_databases(*, templates: bool = False) -> None:
    """Those that `new_database` created."""
    if (server := _server()) is not None:
        if templates and (template := _templates.pop(str(server), None)) is not None:
            _created.append(template)
        while _created:
            await _execute(server, f"DROP DATABASE IF EXISTS {_created.pop()} WITH (FORCE)")


def _address(server: URL, name: str) -> str:
    return server.set(database=name).render_as_string(hide_password=False)


def _server() -> URL | None:
    address = os.environ.get("DATABASE_URL", "")
    return make_url(address).set(drivername="postgresql") if address.startswith("postgres") else None


async def _execute(server: URL, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server.render_as_string(hide_password=False), timeout=TIMEOUT)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
