"""Hints: parts of a prompt that Anima certainly misunderstands, and the corrected request.

There are no hints about anything uncertain. A prompt may be prose, so a word counts as a tag only if it is alone
between commas, and as an artist or known tag only if the tag index has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from bot.prompting.hints.brackets import names_in_brackets, unbalanced_brackets
from bot.prompting.hints.edits import TextEdit, applied
from bot.prompting.hints.emphasis import novelai_weights
from bot.prompting.hints.other_programs import breaks, embeddings, lora_syntax
from bot.prompting.hints.scripts import chinese, full_width, japanese, korean
from bot.prompting.hints.settings import flags, named_settings
from bot.prompting.hints.spelling import artists_without_at, underscores, upper_case
from bot.prompting.hints.weights import weak_weights
from bot.prompting.tags import TagIndex

MAX_ROUNDS = 8


class HintCode(StrEnum):
    FULL_WIDTH = "full_width"  # commas and brackets of East Asian keyboards
    FLAGS = "flags"  # Midjourney's: --ar 2:3 --no hat
    SETTINGS = "settings"  # seed:-1, 1024x1024: there are options for them
    NOVELAI_WEIGHTS = "novelai_weights"  # {tag}, [tag], 1.3::tag::
    LORA_SYNTAX = "lora_syntax"  # Anima reads <lora:name:0.8> as text; there is an option for it
    EMBEDDING = "embedding"  # made for other models' text encoders
    BREAK = "break"  # a keyword of other programs
    NAME_IN_BRACKETS = "name_in_brackets"  # saber_(fate) is a weight, saber \(fate\) a name
    UNBALANCED_BRACKETS = "unbalanced_brackets"
    UNDERSCORES = "underscores"  # tags have spaces, scores an underscore
    UPPER_CASE = "upper_case"
    ARTIST_WITHOUT_AT = "artist_without_at"
    WEAK_WEIGHT = "weak_weight"
    JAPANESE = "japanese"  # Anima was trained with English
    CHINESE = "chinese"
    KOREAN = "korean"


@dataclass(frozen=True)
class Hint:
    """`spans`: start and end of each occurrence; `fixed`: the prompt with all of them fixed.

    If there is no known fix, `fixed` is the unchanged prompt.
    """

    code: HintCode
    spans: tuple[tuple[int, int], ...]
    fixed: str


@dataclass(frozen=True)
class Correction:
    """The corrected request: a prompt, and the settings in it that belong in options (None: not typed).

    aspect: in the format of `/anima imagine`: `2:3` or `832x1216`.
    negative: text to add to the negative prompt.
    """

    prompt: str
    negative: str | None = None
    aspect: str | None = None
    seed: int | None = None
    steps: int | None = None
    cfg: float | None = None
    #: All hints found, including those that appear only after another fix.
    codes: tuple[HintCode, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, prompt: str, moved: Iterable[tuple[str, str]], codes: Iterable[HintCode]) -> Self:
        found: dict[str, str] = {}
        unwanted: list[str] = []
        for option, value in moved:
            if option == "negative":
                unwanted.append(value)
            else:
                found[option] = value
        return cls(
            prompt,
            ", ".join(unwanted) or None,
            found.get("aspect"),
            int(found["seed"]) if "seed" in found else None,
            int(found["steps"]) if "steps" in found else None,
            float(found["cfg"]) if "cfg" in found else None,
            tuple(codes),
        )


def hints(prompt: str, tags: TagIndex) -> list[Hint]:
    """At most one hint of each kind, in the order in which they are fixed. Never raises."""
    found = []
    for code, fix in _FIXES.items():
        edits = list(fix(prompt, tags))
        if edits:
            found.append(Hint(code, tuple((edit.start, edit.end) for edit in edits), applied(prompt, edits)))
    return found


def correct(prompt: str, tags: TagIndex) -> Correction:
    """The request with everything fixed, so that no fixable hint remains.

    If fixes keep causing new hints, the prompt is returned unchanged.
    """
    text = prompt
    moved: list[tuple[str, str]] = []
    found: set[HintCode] = set()
    for _ in range(MAX_ROUNDS):
        before = text
        for code, fix in _FIXES.items():
            edits = list(fix(text, tags))
            found |= {code} if edits else set()
            moved += [edit.moved for edit in edits if edit.moved is not None]
            text = applied(text, edits)
        if text == before:
            return Correction.of(text, moved, (code for code in _FIXES if code in found))
    return Correction(prompt, codes=tuple(hint.code for hint in hints(prompt, tags)))


def fixed(prompt: str, tags: TagIndex) -> str:
    """The prompt of `correct`."""
    return correct(prompt, tags).prompt


_FIXES: dict[HintCode, Callable[[str, TagIndex], Iterator[TextEdit]]] = {
    HintCode.FULL_WIDTH: full_width,
    HintCode.FLAGS: flags,
    HintCode.SETTINGS: named_settings,
    HintCode.NOVELAI_WEIGHTS: novelai_weights,
    HintCode.LORA_SYNTAX: lora_syntax,
    HintCode.EMBEDDING: embeddings,
    HintCode.BREAK: breaks,
    HintCode.NAME_IN_BRACKETS: names_in_brackets,
    HintCode.UNBALANCED_BRACKETS: unbalanced_brackets,
    HintCode.UNDERSCORES: underscores,
    HintCode.UPPER_CASE: upper_case,
    HintCode.ARTIST_WITHOUT_AT: artists_without_at,
    HintCode.WEAK_WEIGHT: weak_weights,
    HintCode.JAPANESE: japanese,
    HintCode.CHINESE: chinese,
    HintCode.KOREAN: korean,
}
