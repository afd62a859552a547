"""Errors for input that cannot be used: `UserError` and its subclasses."""

from __future__ import annotations


class UserError(Exception):
    """Nothing was drawn or changed; the message is a sentence for the person who asked, with what to do instead."""


class InvalidOption(UserError):
    """An option of a command is invalid."""


class InvalidForm(UserError):
    """What was typed into a form, or chosen in a panel, is invalid."""


class InvalidComparison(UserError):
    """The requested comparison is invalid."""


class UnusableImage(UserError):
    """An image cannot be used as a source, or does not say how it was made."""
