"""`say`: a sentence in the reader's language.

English sentences are in the code, each where it is used, and are the keys of the catalogs in `locales/`. Babel finds
those that stand in `say("…")` or `say_plural("…", "…", n)`; one that is kept in a constant or a table is marked there,
with `N_("…")`. Names and descriptions of commands are found in the commands themselves: see `extraction.py`.
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
    """Marks an English sentence, or the two of a plural, that is used elsewhere, for Babel to find it."""
    return one if many is None else (one, many)


def say(sentence: str, **values: object) -> str:
    """An English sentence of ours in the reader's language, its `{names}` replaced by `values`, if there are any.

    What people typed goes into `values`, never into the sentence.
    """
    said = reader_language().translations.gettext(sentence)
    return said.format(**values) if values else said


def say_plural(one: str, many: str, count: float, **values: object) -> str:
    """The same for a sentence with a count, in the plural form that the reader's language has for it.

    `{count}` in it is the number, with at most two decimals. Gettext's rules are for whole numbers: a part of one
    counts as none, and one and a bit as two.
    """
    count = round(count, 2)
    whole = int(count) if count < 1 or count == int(count) else max(2, int(count))
    said = reader_language().translations.ngettext(one, many, whole)
    return said.format(**{"count": decimal(count)} | values)


def listed(items: Iterable[str], limit: int) -> str:
    """Some names in one line: no more than `limit`, and how many more there are."""
    names = list(items)
    named = say(", ").join(names[:limit])
    more = len(names) - limit
    return say("{named} and {count} more", named=named, count=more) if more > 0 else named


class Translator(app_commands.Translator):
    """Names and descriptions of commands, options and choices, as Discord shows them to each person."""

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
