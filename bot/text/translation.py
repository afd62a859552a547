"""`say`: a sentence in the reader's language.

English sentences are in the code, where they are used, and are the keys of the catalogs in `locales/`. Babel finds
those inside `say("…")` or `say_plural("…", "…", n)`; mark those in a constant or a table with `N_("…")`. Names and
descriptions of commands are found in the commands themselves: see `extraction.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import overload

from discord import Locale, app_commands

from bot.text.formats import decimal
from bot.text.languages import LANGUAGES, load_catalogs, reader_language

Location = app_commands.TranslationContextLocation


@overload
def N_(sentence: str, /) -> str: ...
@overload
def N_(one: str, many: str, /) -> tuple[str, str]: ...
def N_(one: str, many: str | None = None, /) -> str | tuple[str, str]:
    """Marks an English sentence, or a singular and plural, that is used elsewhere, so that Babel finds it."""
    return one if many is None else (one, many)


def say(sentence: str, **values: object) -> str:
    """Translates one of the bot's English sentences for the reader; `values`, if any, replace its `{names}`.

    Users' text must be in `values`, never in the sentence.
    """
    said = reader_language().translations.gettext(sentence)
    return said.format(**values) if values else said


def say_plural(one: str, many: str, count: float, **values: object) -> str:
    """The same for a sentence with a count, in the right plural form of the reader's language.

    `{count}` in it is the number, with at most two decimals. Gettext's rules are for whole numbers, so fractions below
    1 count as 0, and those between 1 and 2 as 2.
    """
    count = round(count, 2)
    whole = int(count) if count < 1 or count == int(count) else max(2, int(count))
    said = reader_language().translations.ngettext(one, many, whole)
    return said.format(**{"count": decimal(count)} | values)


def listed(items: Iterable[str], limit: int) -> str:
    """The first `limit` names in one line, and the number of others."""
    names = list(items)
    named = say(", ").join(names[:limit])
    more = len(names) - limit
    return say("{named} and {count} more", named=named, count=more) if more > 0 else named


class Translator(app_commands.Translator):
    """Translates names and descriptions of commands, options and choices for discord.py."""

    async def load(self) -> None:
        await asyncio.to_thread(load_catalogs)

    async def translate(
        self, string: app_commands.locale_str, locale: Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        language, role = LANGUAGES.get(locale.value), role_of(context)
        if language is None or language.path is None or role is None:
            return None
        return language.translations.pgettext(role, string.message)


def role_of(context: app_commands.TranslationContextTypes) -> str | None:
    """The role of a command's text, which is its `msgctxt` in the catalogs; None for other texts."""
    match context.location:
        case Location.command_name | Location.group_name:
            return "menu" if isinstance(context.data, app_commands.ContextMenu) else "command name"
        case Location.command_description | Location.group_description | Location.parameter_description:
            return "description"
        case Location.parameter_name:
            return "option name"
        case Location.choice_name:
            return "choice"
    return None
