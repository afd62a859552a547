"""The catalogs of the page: complete in every language of the bot, and given to browsers as they need them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from string import Formatter

import aiohttp
import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

import bot
from bot.sandbox import FakeDiscord
from bot.sandbox.page_server import catalogs
from bot.sandbox.page_server.catalogs import PageCatalog, page_catalog
from bot.text.languages import ENGLISH, LANGUAGES, Language

ROOT = Path(bot.__file__).parents[1]
PAGE = ROOT / "bot" / "sandbox" / "page"
KEYWORDS = {"t": None, "tPlural": (1, 2), "tElements": None, "ClientRefused": None}

each_language = pytest.mark.parametrize("code", [code for code in LANGUAGES if code != ENGLISH])


@cache
def wanted() -> set[str | tuple[str, ...]]:
    """What a catalog must have, found as `make translations` finds it."""
    with (ROOT / "babel-page.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    return {text for _, _, text, _, _ in extract_from_dir(ROOT, methods, options, KEYWORDS)}


@cache
def catalog(code: str) -> Catalog:
    path = catalogs.catalog_path(LANGUAGES[code])
    assert path is not None and path.exists(), f"run make translations LANGUAGE={code.replace('-', '_')}"
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name)


def entries(code: str) -> dict[str | tuple[str, ...], tuple[str, ...]]:
    """Each sentence, or its singular and plural, and its translations."""
    found: dict[str | tuple[str, ...], tuple[str, ...]] = {}
    for message in catalog(code):
        if message.id:
            key = message.id if isinstance(message.id, str) else tuple(message.id)
            found[key] = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
    return found


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def test_the_page_says_something() -> None:
    assert len(wanted()) > 100
    assert {"Send message", "That message was deleted.", "{name} used {command}"} <= wanted()


@each_language
def test_every_sentence_is_translated_and_none_is_outdated(code: str) -> None:
    found = entries(code)
    assert wanted() - found.keys() == set(), "missing"
    assert found.keys() - wanted() == set(), "outdated"
    assert [key for key, said in found.items() if not all(said) or not said] == [], "empty"
    assert [message.id for message in catalog(code) if message.id and message.fuzzy] == []


@each_language
def test_a_translation_has_the_gaps_of_its_sentence(code: str) -> None:
    for key, said in entries(code).items():
        expected = placeholders(key if isinstance(key, str) else key[-1])
        assert [placeholders(text) for text in said] == [expected] * len(said), key


@each_language
def test_a_browser_gets_a_form_for_each_plural_of_the_language(code: str) -> None:
    locale = LANGUAGES[code].locale
    sentences = page_catalog(code).sentences
    for key in wanted():
        if isinstance(key, tuple):
            forms = sentences[key[0]]
            assert isinstance(forms, dict) and all(forms.values())
            assert {"other", *(locale.plural_form(number) for number in (0, 1, 2, 5, 11, 1_000_000))} <= forms.keys()


def test_plurals_are_given_by_the_categories_that_browsers_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spanish has "many" for millions, where gettext knows two forms only."""
    file = tmp_path / "es_419" / "LC_MESSAGES" / "page.po"
    file.parent.mkdir(parents=True)
    file.write_text(
        'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
        'msgid "a"\nmsgid_plural "b"\nmsgstr[0] "uno"\nmsgstr[1] "muchos"\n\nmsgid "Cancel"\nmsgstr ""\n'
    )
    monkeypatch.setattr(catalogs, "catalog_path", lambda language: file)
    monkeypatch.setattr(catalogs, "LANGUAGES", {"es-419": Language("es-419")})
    catalog = page_catalog.__wrapped__("es-419")
    assert catalog.sentences["a"] == {"one": "uno", "many": "muchos", "other": "muchos"}
    assert catalog.say("Cancel") == "Cancel", "what is missing is in English"


def test_a_refusal_is_translated_with_its_values() -> None:
    catalog = PageCatalog("ja", {"{user} may not write.": "{user} さんは書き込めません。"})
    assert catalog.say("{user} may not write.", user="{x}") == "{x} さんは書き込めません。"
    assert catalog.say("A {brace} in a sentence without values") == "A {brace} in a sentence without values"


async def test_a_catalog_is_served_as_json_and_is_empty_in_english(standin: FakeDiscord) -> None:
    async with aiohttp.ClientSession() as session:
        for locale, language in (("ja", "ja"), ("en-US", ENGLISH), ("de", ENGLISH)):
            async with session.get(f"{standin.page_url}page/locales/{locale}.json") as response:
                answer = await response.json()
                assert response.status == 200 and answer["language"] == language
                assert answer["sentences"].get("Cancel") == ("キャンセル" if language == "ja" else None)


def test_sentences_are_written_out_where_they_are_said() -> None:
    """Babel finds no others."""
    call = re.compile(r"\b(?:t|tElements|tPlural)\((?!\s*\")(.{0,40})")
    code = {file.name: file.read_text("utf-8") for file in PAGE.glob("*.js") if file.name != "translation.js"}
    assert {name: call.findall(text) for name, text in code.items() if call.search(text)} == {}
