"""Aliases and trigger words from the headers of LoRA files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.weights.headers.header import read_metadata, version
from inference.weights.lora_files import lora_paths

#: Limits for trigger words: characters, and words if they come from a trainer's tag counts.
MAX_TRIGGERS_LENGTH = 300
MAX_COUNTED = 5
MAX_ALIAS_LENGTH = 100

_ALIASES = ("ss_output_name", "modelspec.title")
_TRIGGERS = (
    *("modelspec.trigger_phrase", "trained_words", "trainedWords", "trigger_words", "trigger_word"),
    *("ss_trigger_words", "ss_trigger_word", "activation text", "activation_text", "trigger_phrase"),
    *("modelspec.trigger_words", "triggerWords"),
)


@dataclass(frozen=True)
class LoraFacts:
    """aliases: other names. triggers: the words to add to a prompt, separated by commas; empty if none are known."""

    aliases: tuple[str, ...] = ()
    triggers: str = ""

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> LoraFacts:
        aliases = (" ".join(metadata.get(key, "").split()) for key in _ALIASES)
        return cls(
            tuple(dict.fromkeys(alias for alias in aliases if 0 < len(alias) <= MAX_ALIAS_LENGTH)),
            _triggers(metadata),
        )


class LoraHeaders:
    """The facts of a models folder's LoRA files, cached until a file changes.

    Reading a new file takes a few milliseconds, so use it in a thread. Several threads may use it at once.
    """

    def __init__(self, models: str | Path) -> None:
        self._models = models
        self._known: dict[tuple[Path, int, int], LoraFacts] = {}

    def facts(self, names: Iterable[str] | None = None) -> Mapping[str, LoraFacts]:
        """Facts by the LoRAs' names: of all files, or of those with these names."""
        paths = lora_paths(self._models)
        wanted = paths if names is None else {name: paths[name] for name in names if name in paths}
        return {name: self._of(path) for name, path in wanted.items()}

    def _of(self, path: Path) -> LoraFacts:
        key = (path, *version(path))
        if (known := self._known.get(key)) is None:
            known = self._known[key] = LoraFacts.of(read_metadata(path))
        return known


def _triggers(metadata: Mapping[str, str]) -> str:
    """The author's trigger words, or else the tags of nearly all training images."""
    given = (_words(metadata.get(key, "")) for key in _TRIGGERS)
    words = next(filter(None, given), None) or _most_counted(metadata.get("ss_tag_frequency", ""))
    kept: list[str] = []
    for word in dict.fromkeys(words):
        if len(", ".join([*kept, word])) > MAX_TRIGGERS_LENGTH:
            break
        kept.append(word)
    return ", ".join(kept)


def _words(text: str) -> Sequence[str]:
    """The words in a JSON list, or in a text with commas."""
    read = _json(text) if text.lstrip().startswith("[") else None
    pieces = [each for each in read if isinstance(each, str)] if isinstance(read, list) else [text]
    return [word for piece in pieces for part in piece.split(",") if (word := " ".join(part.split()))]


def _most_counted(text: str) -> Sequence[str]:
    """The most frequent tags, from sd-scripts' tag counts by folder."""
    counted: Counter[str] = Counter()
    for tag, count in _counts(_json(text)):
        counted[" ".join(tag.split())] += count
    most = max(counted.values(), default=0)
    ranked = [tag for tag, count in counted.most_common(MAX_COUNTED) if tag and 2 * count > most]
    return [tag.replace("(", r"\(").replace(")", r"\)") for tag in ranked if "," not in tag and len(tag) < 100]


def _counts(frequency: Any) -> Iterator[tuple[str, int]]:
    folders = [*frequency.values(), frequency] if isinstance(frequency, dict) else []
    for folder in folders:
        for tag, count in folder.items() if isinstance(folder, dict) else ():
            if isinstance(count, int) and count > 0:
                yield tag, count


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
