"""Schema migrations with Alembic. `upgrade` runs at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage.backend.errors import DatabaseRefused


def upgrade(connection: Connection) -> None:
    """Bring the tables up to date in the caller's transaction.

    Raises DatabaseRefused if a newer version of the bot wrote the database.
    """
    config = alembic(connection)
    steps = ScriptDirectory.from_config(config)
    known = {step.revision for step in steps.walk_revisions()}
    done = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := done - known:
        raise DatabaseRefused(
            f"The database was written by a newer version of Anima Bot (its schema is {', '.join(sorted(unknown))}); "
            "run that version, or restore a backup from before it."
        )
    if done != set(steps.get_heads()):
        command.upgrade(config, "head")


def alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
