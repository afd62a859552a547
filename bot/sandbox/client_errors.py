"""Error messages for what Discord's client does not let a user do."""

from __future__ import annotations


class ClientRefused(Exception):
    """Discord's client would not let the user do this; the message says why. The bot never learns of it.

    The sentence is English and the key of its translations; `values` go into its `{names}`.
    """

    def __init__(self, sentence: str, **values: object) -> None:
        super().__init__(sentence.format(**values) if values else sentence)
        self.sentence = sentence
        self.values = values


class ImpossibleAction(ClientRefused):
    """No client offers this, so it is a bug in a test or in the page. In English only."""


def message_deleted() -> ClientRefused:
    return ClientRefused("That message was deleted.")


def file_too_large(name: str, limit: int) -> ClientRefused:
    """`limit` is in bytes."""
    return ClientRefused("{file} is too large. The limit is {size} MiB.", file=name, size=limit >> 20)
