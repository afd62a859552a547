"""The note that a prompt's embeddings are left out."""

from __future__ import annotations

from inference.notes import Note, NoteCode, make_note
from inference.prompt import embeddings


def embeddings_notes(*prompts: str) -> list[Note]:
    """One note on all embeddings in the prompts; none if there are none."""
    names = embeddings(*prompts)
    return [make_note(NoteCode.EMBEDDINGS, names=", ".join(names))] if names else []
