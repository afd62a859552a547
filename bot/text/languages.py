"""The bot's languages: English, which is in the code, and one for each catalog in `locales/`.

Adding a language means adding `locales/<language>/LC_MESSAGES/anima.po`, named as gettext names languages: `fr`,
`pt_BR`. Discord writes the same names with a hyphen.
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
        """Babel's data about it: how it writes numbers and durations, and its own name."""
        return Locale.parse(self.code, sep="-")

    @property
    def name(self) -> str:
        """Its name in the language itself, such as 日本語; with script or country if two would have the same."""
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
    """Read every catalog now, so that nobody's first sentence waits for a file."""
    for language in LANGUAGES.values():
        _ = language.translations


def reader_language() -> Language:
    """The language of the reader of this task's texts."""
    return _reader.get()


@contextmanager
def speaking(locale: str) -> Iterator[None]:
    """Within this, `say` speaks the language of `locale`, one of Discord's, such as "ja"."""
    token = _reader.set(language_of(locale))
    try:
        yield
    finally:
        _reader.reset(token)


def speak_to(interaction: discord.Interaction[Any]) -> None:
    """From here on this task uses the language of the user behind an interaction."""
    _reader.set(language_of(str(interaction.locale)))


def language_of(locale: str) -> Language:
    """The language for one of Discord's locales: English where there is no catalog for it."""
    return LANGUAGES.get(locale, LANGUAGES[ENGLISH])
