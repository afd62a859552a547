"""The page's translations: a catalog beside the bot's own, served as JSON."""

from __future__ import annotations

import functools
import gettext
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bot.text.languages import ENGLISH, LANGUAGES, Language

#: The name of the catalogs: `locales/<language>/LC_MESSAGES/page.po`.
DOMAIN = "page"

#: Numbers among which each of CLDR's plural categories of a language is found: "many" of Spanish is for millions.
SAMPLES = (*range(200), 1_000_000)


@dataclass(frozen=True)
class PageCatalog:
    """The page in one language. What is missing comes out in English.

    `sentences` has, for each English sentence, what it is in the language; for one about a number (by its singular),
    the form for each of the plural categories that `Intl.PluralRules` of a browser knows.
    """

    language: str
    sentences: Mapping[str, str | Mapping[str, str]]

    def say(self, sentence: str, **values: object) -> str:
        """A sentence without plural forms, its `{names}` replaced by `values`, if there are any."""
        found = self.sentences.get(sentence)
        said = found if isinstance(found, str) else sentence
        return said.format(**values) if values else said


@functools.cache
def page_catalog(locale: str) -> PageCatalog:
    """The page in one of Discord's locales, or in English if there is no catalog for it."""
    language = LANGUAGES.get(locale)
    path = catalog_path(language) if language is not None else None
    if language is None or path is None or not path.exists():
        return PageCatalog(ENGLISH, {})
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.parent.parent.name, domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    translations = gettext.GNUTranslations(compiled)
    categories = _categories(language.locale)
    sentences: dict[str, str | Mapping[str, str]] = {}
    for message in catalog:
        if isinstance(message.id, str) and message.id:
            sentences[message.id] = translations.gettext(message.id)
        elif message.id:
            one, many = message.id
            sentences[one] = {name: translations.ngettext(one, many, number) for name, number in categories.items()}
    return PageCatalog(language.code, sentences)


def catalog_path(language: Language) -> Path | None:
    """The path of the page's catalog for a language; None for English, which is in the code."""
    return None if language.path is None else language.path.with_name(f"{DOMAIN}.po")


def add_routes(application: web.Application) -> None:
    """Adds `GET /page/locales/{locale}.json`."""

    async def show(request: web.Request) -> web.Response:
        catalog = page_catalog(request.match_info["locale"])
        return web.json_response({"language": catalog.language, "sentences": catalog.sentences})

    application.router.add_get(r"/page/locales/{locale:[A-Za-z0-9-]+}.json", show)


def _categories(locale: Locale) -> dict[str, int]:
    """A number of each plural category that a language has."""
    return {locale.plural_form(number): number for number in reversed(SAMPLES)}
