"""The bot's languages: English, which is in the code, and one for each catalog in `locales/`.

To add a language, add `locales/<language>/LC_MESSAGES/anima.po` with gettext's name for the language: `fr`, `pt_BR`.
Discord writes the same names with a hyphen.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import discord
from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES = Path(__file__).with_name("locales")
CATALOG = Path("LC_MESSAGES", "anima.po")
ENGLISH = "en-US"


@dataclass(frozen=True)
class Language:
    """A language of the bot. `code` is Discord's name for it."""

    code: str

    @cached_property
    def locale(self) -> Locale:
        """Babel's data about it: number and duration formats, and the languages' names."""
        return Locale.parse(self.code, sep="-")

    @property
    def name(self) -> str:
        """Its name in the language itself, such as 日本語; if Babel has one, the name with script or country."""
        locale = self.locale
        exact = (str(locale), f"{locale.language}_{locale.script}", self.code.replace("-", "_"), locale.language)
        found = [locale.language] if self.code == ENGLISH else exact
        names: Mapping[str, str] = locale.languages
        name = next((names[key] for key in found if key in names), self.code)
        return name[0].upper() + name[1:]

    @cached_property
    def path(self) -> Path | None:
        """Its catalog. English has none."""
        return None if self.code == ENGLISH else LOCALES / self.code.replace("-", "_") / CATALOG

    def read_catalog(self) -> Catalog:
        if self.path is None:
            return Catalog(locale="en_US")
        with self.path.open("rb") as file:
            return read_po(file, locale=self.path.parent.parent.name, domain="anima")

    @cached_property
    def translations(self) -> gettext.NullTranslations:
        """Its gettext catalog. Missing entries fall back to English."""
        if self.path is None:
            return gettext.NullTranslations()
        compiled = io.BytesIO()
        write_mo(compiled, self.read_catalog())
        compiled.seek(0)
        return gettext.GNUTranslations(compiled)


def _found() -> Iterator[Language]:
    yield Language(ENGLISH)
    for path in sorted(LOCALES.glob(f"*/{CATALOG.as_posix()}")):
        yield Language(path.parent.parent.name.replace("_", "-"))


#: By Discord's codes, English first. This is the only list of languages.
LANGUAGES: Mapping[str, Language] = {language.code: language for language in _found()}

_reader: ContextVar[Language] = ContextVar("reader", default=LANGUAGES[ENGLISH])


def load_catalogs() -> None:
    """Read all catalogs now, so that no user's first answer waits for a file."""
    for language in LANGUAGES.values():
        _ = language.translations


def reader_language() -> Language:
    """The language of the user who reads this task's texts."""
    return _reader.get()


@contextmanager
def speaking(locale: str) -> Iterator[None]:
    """Within this context, `say` uses the language of `locale`, one of Discord's, such as "ja"."""
    token = _reader.set(language_of(locale))
    try:
        yield
    finally:
        _reader.reset(token)


def speak_to(interaction: discord.Interaction[Any]) -> None:
    """From now on, this task uses the language of the interaction's user."""
    _reader.set(language_of(str(interaction.locale)))


def language_of(locale: str) -> Language:
    """The language for one of Discord's locales; English if there is no catalog for it."""
    return LANGUAGES.get(locale, LANGUAGES[ENGLISH])
