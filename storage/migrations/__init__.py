"""Schema migrations with Alembic. `upgrade` runs at every start, and loads Alembic only if there is something to do."""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

#: The line of each step that names it, and the one that names the step before it.
NAMES = re.compile(r'^(revision|down_revision) = ["\'](\w+)["\']$', re.MULTILINE)


def upgrade(connection: Connection) -> None:
    """Bring the tables up to date in the caller's transaction.

    Raises DatabaseRefused if a newer version of the bot wrote the database.
    """
    if _done(connection) == newest():
        return
    from storage.migrations.steps import take_steps  # only here: Alembic takes a tenth of the bot's start

    take_steps(connection)


def _done(connection: Connection) -> set[str]:
    """The last steps that Alembic has noted in the database."""
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


@cache
def newest() -> set[str]:
    """The steps after which no other comes, as Alembic finds them by importing all."""
    files = Path(__file__).with_name("versions").glob("*.py")
    names = [name for file in files for name in NAMES.findall(file.read_text("utf-8"))]
    steps, before = ({name for key, name in names if key == wanted} for wanted in ("revision", "down_revision"))
    return steps - before
