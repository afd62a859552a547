"""Sentences in the reader's language, with values and plurals."""

import gettext
from io import BytesIO

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from bot.text import languages
from bot.text.languages import Language, speaking
from bot.text.translation import N_, say, say_plural


def spoken(code: str, *messages: tuple[str | tuple[str, str], str | tuple[str, ...]]) -> Language:
    """A language that says just these."""
    catalog, compiled = Catalog(locale=code.replace("-", "_")), BytesIO()
    for english, said in messages:
        catalog.add(english, said)
    write_mo(compiled, catalog)
    compiled.seek(0)
    language = Language(code)
    vars(language)["translations"] = gettext.GNUTranslations(compiled)
    return language


@pytest.fixture(autouse=True)
def _languages(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = ("{count} job", "{count} jobs")
    japanese = spoken("ja", ("Waiting", "待機中"), ("{what} first", "まず{what}"), (jobs, ("{count} 件",)))
    polish = spoken("pl", (jobs, ("{count} zadanie", "{count} zadania", "{count} zadań")))
    spanish = spoken("es-ES", (jobs, ("{count} trabajo", "{count} de trabajos", "{count} trabajos")))
    known = {language.code: language for language in (japanese, polish, spanish)}
    monkeypatch.setattr(languages, "LANGUAGES", languages.LANGUAGES | known)


def jobs(count: float) -> str:
    return say_plural("{count} job", "{count} jobs", count)


def test_a_sentence_is_in_the_readers_language() -> None:
    assert say("Waiting") == "Waiting"
    with speaking("ja"):
        assert say("Waiting") == "待機中"
        assert say("{what} first", what="a") == "まずa"
    assert say("Waiting") == "Waiting"


def test_missing_translations_fall_back_to_english() -> None:
    with speaking("ja"):
        assert say("Drawing") == "Drawing"
    with speaking("fr"):
        assert say("Waiting") == "Waiting" and jobs(2) == "2 jobs"


def test_typed_text_is_never_treated_as_a_placeholder() -> None:
    assert say("{what} first", what="{0} {what} {__class__}") == "{0} {what} {__class__} first"


def test_a_marked_sentence_stays_english_until_it_is_used() -> None:
    with speaking("ja"):
        assert N_("Waiting") == "Waiting" and say(N_("Waiting")) == "待機中"


def test_each_language_has_its_own_plurals() -> None:
    assert [jobs(count) for count in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    with speaking("ja"):
        assert [jobs(count) for count in (1, 2)] == ["1 件", "2 件"]
    with speaking("pl"):
        assert [jobs(count) for count in (1, 2, 5, 22)] == ["1 zadanie", "2 zadania", "5 zadań", "22 zadania"]


@pytest.mark.parametrize(
    ("count", "english"), [(0.5, "0.5 jobs"), (1.0, "1 job"), (0.999, "1 job"), (1.5, "1.5 jobs"), (2.345, "2.35 jobs")]
)
def test_a_part_of_a_thing_is_counted_as_it_is_shown(count: float, english: str) -> None:
    assert jobs(count) == english


def test_the_number_is_written_as_the_reader_writes_it() -> None:
    with speaking("es-ES"):
        assert [jobs(count) for count in (1, 20.7, 1000)] == ["1 trabajo", "20,7 trabajos", "1.000 trabajos"]
    assert say_plural("{count} of {all}", "{count} of {all}", 3, all=1000) == "3 of 1000"
