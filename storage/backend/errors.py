"""Errors of opening a database."""


class DatabaseRefused(Exception):
    """One sentence for the operator: what is wrong with the database, where, and what to do."""
