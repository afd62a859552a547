"""Generates a migration: change `storage/schema.py`, run `python -m storage.migrations "message"`, review the file."""

import argparse

from alembic import command
from sqlalchemy import create_engine

from storage.migrations import upgrade
from storage.migrations.revisions import alembic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("message", help="what the migration changes, in a few words")
    message = parser.parse_args().message
    with create_engine("sqlite://").begin() as connection:
        upgrade(connection)
        command.revision(alembic(connection), message, autogenerate=True)


if __name__ == "__main__":
    main()
