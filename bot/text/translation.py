"""What the bot says, in the language of the one who reads it.

English sentences stand in the code, each where it is said; `japanese.py` has what each becomes in Japanese, and a test
sees to it that none is missing there. Who reads is known to the task that answers an interaction, or that shows a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import discord
from discord import app_commands

from bot.text.japanese import COMMANDS, SENTENCES

ENGLISH = "en-US"

_CATALOGUES: Mapping[str, Mapping[str, str]] = {"ja": SENTENCES}
_COMMAND_CATALOGUES: Mapping[str, Mapping[str, str]] = {"ja": COMMANDS}

_locale: ContextVar[str] = ContextVar("locale", default=ENGLISH)


def say(sentence: str, **values: object) -> str:
    """An English sentence of ours in the reader's language, its `{names}` replaced by `values`, if there are any.

    What people typed goes into `values`, never into the sentence.
    """
    catalogue = _CATALOGUES.get(_locale.get().partition("-")[0])
    said = sentence if catalogue is None else catalogue.get(sentence, sentence)
    return said.format(**values) if values else said


@contextmanager
def speaking(locale: str) -> Iterator[None]:
    """Within this, `say` speaks the language of `locale`, one of Discord's, such as "ja"."""
    token = _locale.set(locale)
    try:
        yield
    finally:
        _locale.reset(token)


def speak_to(interaction: discord.Interaction[Any]) -> None:
    """From here on this task speaks the language of the person behind an interaction."""
    _locale.set(str(interaction.locale))


class Translator(app_commands.Translator):
    """Names and descriptions of commands, options and choices, as Discord shows them to each person."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        return _COMMAND_CATALOGUES.get(str(locale).partition("-")[0], {}).get(string.message)
