"""The engine's notes, stored with their code and worded for each reader."""

from __future__ import annotations

import json
import pickle

import pytest

from bot.messages.engine_notes import SENTENCES, stored_note, word_note
from bot.text.languages import speaking
from inference.notes import SENTENCES as ENGINES
from inference.notes import Note, NoteCode, lora_note, make_note

VALUES = {
    "tensor": "blocks.0.mlp.layer1.weight",
    "factor": "lora_up",
    "factors": "alpha",
    "shape": "[3, 3]",
    "names": "embedding:x",
}
REASONS = [make_note(code, **VALUES) for code in NoteCode]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.code)
@pytest.mark.parametrize("count", [None, 1, 3, 12])
def test_in_english_a_note_is_the_engines_sentence(reason: Note, count: int | None) -> None:
    note = reason if count is None else lora_note("ink", [f"key{number}" for number in range(count)], reason)
    stored = stored_note(note)
    assert "\n" not in stored and word_note(stored) == str(note)


def test_every_note_code_has_a_sentence() -> None:
    assert set(SENTENCES) == set(ENGINES) == set(NoteCode)


def test_a_note_survives_the_pipe_from_the_engines_process() -> None:
    note = lora_note("ink", ["a", "b"], make_note(NoteCode.OTHER_LAYERS))
    back = pickle.loads(pickle.dumps(note))
    assert (back, back.code, back.values) == (note, NoteCode.OTHER_LAYERS, {"lora": "ink", "keys": "a, b"})


def test_a_note_is_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = stored_note(lora_note("ink", list("abcde"), make_note(NoteCode.OTHER_LAYERS)))
    translated = {
        "this model has no such layers.": "なし。",
        "The LoRA {lora} is used without {keys}: {reason}": "{keys}={lora}: {reason}",
        "{named} and {count} more": "{named}ほか{count}",
    }
    monkeypatch.setattr("gettext.GNUTranslations.gettext", lambda self, text: translated.get(text, text))
    with speaking("ja"):
        assert word_note(stored) == "a, b, cほか2=ink: なし。"


@pytest.mark.parametrize(
    "stored",
    [
        "The LoRA ink is used without 12 keys.",
        "12",
        "null",
        "{}",
        "[",
        json.dumps({"code": "other_layers"}),
        "[" * 100_000,
    ],
)
def test_a_note_of_an_earlier_release_is_shown_as_it_is(stored: str) -> None:
    assert word_note(stored) == stored


@pytest.mark.parametrize(
    "document",
    [
        {"code": "of_later", "values": {}, "text": "What is that?"},
        {"code": "no_such_tensor", "values": {}, "text": "What is that?"},
        {"code": "other_layers", "values": {"lora": "ink"}, "text": "What is that?"},
    ],
)
def test_a_note_of_a_later_release_is_shown_in_the_engines_words(document: dict[str, object]) -> None:
    assert word_note(json.dumps(document)) == "What is that?"
