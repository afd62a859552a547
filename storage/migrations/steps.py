"""The steps from any older version's tables to this one's, by Alembic."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage.backend.errors import DatabaseRefused


def take_steps(connection: Connection) -> None:
    """Those that the database lacks. Raises DatabaseRefused if a newer version of the bot wrote it."""
    steps = all_steps()
    known = {step.revision for step in steps.walk_revisions()}
    done = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := done - known:
        raise DatabaseRefused(
            f"The database was written by a newer version of Anima Bot (its schema is {', '.join(sorted(unknown))}); "
            "run that version, or restore a backup from before it."
        )
    if done != set(steps.get_heads()):
        command.upgrade(alembic(connection), "head")


@cache
def all_steps() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def alembic(connection: Connection) -> Config:
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
