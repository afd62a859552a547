"""Errors of a database, and after how long without an answer it counts as unavailable.

Imports nothing, so that settings and commands know these without waiting for SQLAlchemy.
"""

from dataclasses import dataclass


class DatabaseRefused(Exception):
    """One sentence for the operator: what is wrong with the database, where, and what to do."""


class StorageUnavailable(Exception):
    """The database is not available now (locked, full, unreachable). The transaction was rolled back."""


@dataclass(frozen=True)
class DatabaseTimeouts:
    """Seconds. A caller waits at most for a connection and for one statement, and has an answer or an error then.

    connect: for a connection, a place in the pool included.
    statement: for each statement, and for the commit.
    """

    connect: float = 10.0
    statement: float = 10.0
