"""Stores the engine's notes about what it could not do, and words them in the reader's language."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bot.text.translation import N_, say
from inference.notes import Note, NoteCode

#: Why parts of a LoRA are not used (`reason` in USED_WITHOUT), and other notes.
SENTENCES: Mapping[str, str] = {
    NoteCode.OTHER_LAYERS: N_("this model has no such layers."),
    NoteCode.OTHER_TEXT_ENCODER: N_("this model's text encoder, Qwen3, has no such layers."),
    NoteCode.UNKNOWN_KIND: N_("no supported kind of LoRA has such tensors."),
    NoteCode.NO_SUCH_TENSOR: N_("this model has no {tensor}."),
    NoteCode.NOT_NUMBERS: N_(
        "{factor} of {tensor} contains values that are not numbers. The file is damaged; download it again."
    ),
    NoteCode.INCOMPLETE: N_("{tensor} has only {factors}, which is incomplete, or of a kind that is not supported."),
    NoteCode.OTHER_SHAPE: N_(
        "its change of {tensor} does not have that tensor's shape {shape}. It was made for a model of another size."
    ),
    NoteCode.EMBEDDINGS: N_("There are no embeddings for Anima, so this is left out: {names}."),
}
USED_WITHOUT = N_("The LoRA {lora} is used without {keys}: {reason}")


def stored_note(note: str) -> str:
    """A note as one line, which `word_note` reads."""
    if not isinstance(note, Note):
        return note
    return json.dumps({"code": note.code, "values": note.values, "text": str(note)})


def word_note(stored: str) -> str:
    """A stored note in the reader's language, or in the engine's own words if its code is unknown."""
    try:
        found = json.loads(stored)
        code, values, text = found["code"], dict(found["values"]), str(found["text"])
    except (ValueError, TypeError, KeyError, RecursionError):  # from an earlier release, which stored plain text
        return stored
    try:
        reason = say(SENTENCES[code], **{"code": code, **values})  # a KeyError where a value is missing
        if "lora" not in values:
            return reason
        keys, more = values["keys"], values.get("more")
        shown = keys if more is None else say("{named} and {count} more", named=keys, count=more)
        return say(USED_WITHOUT, lora=values["lora"], keys=shown, reason=reason)
    except (KeyError, IndexError, ValueError):  # from a later release
        return text
