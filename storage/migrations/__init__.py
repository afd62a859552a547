"""Schema migrations with Alembic. `upgrade` runs at every start, and loads Alembic only if there is something to do."""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

#: The lines of a migration that name it and the one before it.
REVISION_LINE = re.compile(r'^(revision|down_revision) = ["\'](\w+)["\']$', re.MULTILINE)


def upgrade(connection: Connection) -> None:
    """Bring the tables up to date in the caller's transaction.

    Raises DatabaseRefused if a newer version of the bot wrote the database.
    """
    if _current_revisions(connection) == latest_revisions():
        return
    from storage.migrations.revisions import upgrade_tables  # not at the top: Alembic takes a tenth of the bot's start

    upgrade_tables(connection)


def _current_revisions(connection: Connection) -> set[str]:
    """The revisions that Alembic has recorded in the database."""
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


@cache
def latest_revisions() -> set[str]:
    """Those that no other follows, read from the files' text. Alembic would import them all."""
    files = Path(__file__).with_name("versions").glob("*.py")
    lines = [line for file in files for line in REVISION_LINE.findall(file.read_text("utf-8"))]
    revisions, followed = ({name for key, name in lines if key == wanted} for wanted in ("revision", "down_revision"))
    return revisions - followed
