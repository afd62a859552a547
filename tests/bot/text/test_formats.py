"""Numbers and durations in each language."""

from datetime import timedelta

import pytest

from bot.text import languages
from bot.text.formats import decimal, duration
from bot.text.languages import Language, speaking


@pytest.fixture(autouse=True)
def _languages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some whose numbers are written in other ways, whether or not the bot speaks them yet."""
    spoken = {code: Language(code) for code in ("en-US", "ja", "es-ES", "fr", "pt-BR")}
    monkeypatch.setattr(languages, "LANGUAGES", spoken)


@pytest.mark.parametrize(
    ("number", "english", "spanish"),
    [
        (20.7, "20.7", "20,7"),
        (9.0, "9", "9"),
        (0.125, "0.12", "0,12"),
        (-2.5, "-2.5", "-2,5"),
        (1e6, "1,000,000", "1.000.000"),
    ],
)
def test_a_number_is_written_as_its_reader_writes_it(number: float, english: str, spanish: str) -> None:
    assert decimal(number) == english
    with speaking("es-ES"):
        assert decimal(number) == spanish


def test_a_number_has_no_more_decimals_than_are_asked_for() -> None:
    assert decimal(20.75, digits=1) == "20.8" and decimal(20.75, digits=0) == "21" and decimal(20, digits=1) == "20"


@pytest.mark.parametrize(
    ("span", "english", "japanese", "portuguese"),
    [
        (timedelta(days=1), "1 day", "1 日", "1 dia"),
        (timedelta(days=30), "30 days", "30 日", "30 dias"),
        (timedelta(hours=36), "1.5 days", "1.5 日", "1,5 dia"),
        (timedelta(hours=23), "23 hours", "23 時間", "23 horas"),
        (timedelta(minutes=90), "1.5 hours", "1.5 時間", "1,5 hora"),
        (timedelta(seconds=100), "100 seconds", "100 秒", "100 segundos"),
        (timedelta(seconds=12.34), "12.3 seconds", "12.3 秒", "12,3 segundos"),
        (timedelta(0), "0 seconds", "0 秒", "0 segundo"),
    ],
)
def test_a_duration_is_in_the_largest_unit_that_suits_it(
    span: timedelta, english: str, japanese: str, portuguese: str
) -> None:
    said = [duration(span)]
    for locale in ("ja", "pt-BR"):
        with speaking(locale):
            said.append(duration(span))
    assert said == [english, japanese, portuguese]
