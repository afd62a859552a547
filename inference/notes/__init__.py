"""Notes about what could not be done as requested: English sentences, each with a code and values.

The bot uses the code and values to translate them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

#: The most keys of a LoRA file that a sentence lists; it only counts the others.
MAX_KEYS_NAMED = 3


class NoteCode(StrEnum):
    """What a note is about. All but the last say why parts of a LoRA are not used."""

    OTHER_LAYERS = "other_layers"
    OTHER_TEXT_ENCODER = "other_text_encoder"
    UNKNOWN_KIND = "unknown_kind"
    NO_SUCH_TENSOR = "no_such_tensor"
    NOT_NUMBERS = "not_numbers"
    INCOMPLETE = "incomplete"
    OTHER_SHAPE = "other_shape"
    EMBEDDINGS = "embeddings"


SENTENCES: Mapping[NoteCode, str] = {
    NoteCode.OTHER_LAYERS: "this model has no such layers.",
    NoteCode.OTHER_TEXT_ENCODER: "this model's text encoder, Qwen3, has no such layers.",
    NoteCode.UNKNOWN_KIND: "no supported kind of LoRA has such tensors.",
    NoteCode.NO_SUCH_TENSOR: "this model has no {tensor}.",
    NoteCode.NOT_NUMBERS: (
        "{factor} of {tensor} contains values that are not numbers. The file is damaged; download it again."
    ),
    NoteCode.INCOMPLETE: "{tensor} has only {factors}, which is incomplete, or of a kind that is not supported.",
    NoteCode.OTHER_SHAPE: (
        "its change of {tensor} does not have that tensor's shape {shape}. It was made for a model of another size."
    ),
    NoteCode.EMBEDDINGS: "There are no embeddings for Anima, so this is left out: {names}.",
}


class Note(str):
    """An English sentence. `values`: its placeholders by name; a LoRA's also `lora`, `keys` and perhaps `more`."""

    code: NoteCode
    values: Mapping[str, str]

    def __new__(cls, text: str, code: NoteCode, values: Mapping[str, str]) -> Note:
        note = super().__new__(cls, text)
        note.code, note.values = code, values
        return note

    def __reduce__(self) -> tuple[type[Note], tuple[str, NoteCode, Mapping[str, str]]]:
        """Pickle the code and values too, so that they reach the bot's process."""
        return Note, (str(self), self.code, self.values)


def make_note(code: NoteCode, **values: str) -> Note:
    return Note(SENTENCES[code].format(**values), code, values)


def lora_note(lora: str, keys: Sequence[str], reason: Note) -> Note:
    """A note that a LoRA is used without some of its keys. `reason`: why."""
    values = {"lora": lora, "keys": ", ".join(keys[:MAX_KEYS_NAMED])}
    shown = values["keys"]
    if (more := len(keys) - MAX_KEYS_NAMED) > 0:
        values["more"] = str(more)
        shown = f"{shown} and {more} more"
    return Note(f"The LoRA {lora} is used without {shown}: {reason}", reason.code, {**values, **reason.values})
