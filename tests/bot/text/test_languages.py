"""Which languages there are, and which one a reader gets."""

import asyncio

import discord
import pytest

from bot.text.languages import ENGLISH, LANGUAGES, Language, language_of, load_catalogs, reader_language, speaking
from tests.bot.harness import Stage


def test_english_comes_first_and_needs_no_catalog() -> None:
    assert next(iter(LANGUAGES)) == ENGLISH
    assert LANGUAGES[ENGLISH].path is None and not LANGUAGES[ENGLISH].read_catalog()


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_is_one_that_discord_has(code: str) -> None:
    assert code in {locale.value for locale in discord.Locale}


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_is_in_babels_data(code: str) -> None:
    assert str(LANGUAGES[code].locale).partition("_")[0] == code.partition("-")[0]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("en-US", "English"),
        ("ja", "日本語"),
        ("zh-CN", "简体中文"),
        ("zh-TW", "繁體中文"),
        ("es-419", "Español latinoamericano"),
        ("es-ES", "Español de España"),
    ],
)
def test_a_language_is_called_what_its_readers_call_it(code: str, name: str) -> None:
    assert Language(code).name == name


def test_no_two_languages_are_called_the_same() -> None:
    assert len({language.name for language in LANGUAGES.values()}) == len(LANGUAGES)


@pytest.mark.parametrize("locale", ["fr", "en-GB", "", "jav", "ja-JP", "../ja"])
def test_readers_of_other_languages_get_english(locale: str) -> None:
    assert language_of(locale) is LANGUAGES[ENGLISH]


def test_a_language_applies_inside_its_block_only() -> None:
    with speaking("ja"):
        assert reader_language().code == "ja"
        with speaking(ENGLISH):
            assert reader_language().code == ENGLISH
        assert reader_language().code == "ja"
    assert reader_language().code == ENGLISH


async def test_each_task_has_a_reader_of_its_own() -> None:
    async def read(locale: str) -> str:
        with speaking(locale):
            await asyncio.sleep(0)
            return reader_language().code

    assert await asyncio.gather(read("ja"), read("en-US"), read("ja")) == ["ja", "en-US", "ja"]


def test_every_catalog_is_read_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for language in LANGUAGES.values():
        vars(language).pop("translations", None)
    load_catalogs()
    monkeypatch.setattr(Language, "read_catalog", lambda self: pytest.fail("read again"))
    assert all(language.translations.gettext("Cancel") for language in LANGUAGES.values())


async def test_the_bot_reads_the_catalogs_before_anybody_asks(stage: Stage) -> None:
    assert all("translations" in vars(language) for language in LANGUAGES.values())
