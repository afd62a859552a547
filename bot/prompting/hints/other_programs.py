"""Keywords of other programs that Anima reads as words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.prompting.hints.edits import TextEdit, UnwantedText, removed
from bot.prompting.tags import TagIndex

_LORA = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_BREAK = re.compile(r"(?<![^\s,])BREAK(?![^\s,])")
_EMBEDDING_NAME = (
    r"(?:embedding:[^\s,():<>]+|(?:easynegative(?:v2)?|fastnegativev2|badhandv4|bad-hands-5|negative_hand(?:-neg)?"
    r"|bad-artist(?:-anime)?|bad-picture-chill-\d+v|bad_prompt_version2|ng_deepnegative_v1_\d+t"
    r"|verybadimagenegative_v1\.[0-3]|unaestheticxl\w{0,8}|negativexl_\w{1,4})(?![\w-]))"
)
_EMBEDDING = re.compile(rf"\(\s*{_EMBEDDING_NAME}(?::[\d.]*)?\s*\)|(?<![\w:-]){_EMBEDDING_NAME}", re.IGNORECASE)


def lora_syntax(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    return _without(prompt, _LORA, " ")


def embeddings(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    return _without(prompt, _EMBEDDING, " ")


def breaks(prompt: str, tags: TagIndex) -> Iterator[TextEdit]:
    return _without(prompt, _BREAK, ", ")


def _without(prompt: str, unwanted: re.Pattern[str], between: str) -> Iterator[TextEdit]:
    found = (UnwantedText(match.start(), match.end()) for match in unwanted.finditer(prompt))
    return removed(prompt, found, between)
