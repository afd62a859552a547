import pytest

from bot.text import translation
from bot.text.translation import say, speaking

JAPANESE = {"Waiting": "待機中", "{count} jobs": "{count} 件"}


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "_CATALOGUES", {"ja": JAPANESE})


def test_a_sentence_is_said_in_the_language_of_the_reader() -> None:
    assert say("Waiting") == "Waiting"
    with speaking("ja"):
        assert say("Waiting") == "待機中"
        assert say("{count} jobs", count=3) == "3 件"
    assert say("Waiting") == "Waiting"


@pytest.mark.parametrize("locale", ["fr", "en-GB", "", "jav"])
def test_who_reads_another_language_gets_english(locale: str) -> None:
    with speaking(locale):
        assert say("Waiting") == "Waiting"


def test_what_people_typed_is_never_taken_for_a_name_to_replace() -> None:
    assert say("{count} jobs", count="{0} {count} {__class__}") == "{0} {count} {__class__} jobs"
