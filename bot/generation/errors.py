"""Errors for input that cannot be used: `UserError` and its subclasses."""

from __future__ import annotations


class UserError(Exception):
    """Nothing was drawn or changed; the message is a sentence for the person who asked, with what to do instead."""


class InvalidOption(UserError):
    """An option of a command cannot be used."""


class InvalidForm(UserError):
    """What was typed into a form, or chosen in a panel, cannot be used."""


class InvalidComparison(UserError):
    """What is to be compared cannot be compared."""


class UnusableImage(UserError):
    """An image cannot be drawn from, or says nothing of how it was made."""
