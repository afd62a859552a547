"""Upgrades the tables of any older version with Alembic."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage.backend.errors import DatabaseRefused


def upgrade_tables(connection: Connection) -> None:
    """Run the migrations that the database lacks. Raises DatabaseRefused if a newer version of the bot wrote it."""
    scripts = migration_scripts()
    known = {script.revision for script in scripts.walk_revisions()}
    current = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := current - known:
        raise DatabaseRefused(
            f"The database was written by a newer version of Anima Bot (its schema is {', '.join(sorted(unknown))}); "
            "run that version, or restore a backup from before it."
        )
    if current != set(scripts.get_heads()):
        command.upgrade(alembic(connection), "head")


@cache
def migration_scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def alembic(connection: Connection) -> Config:
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
