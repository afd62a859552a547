"""LoRAs in a prompt, in the syntax of A1111 and its forks: `<lora:name:0.8>`."""

from __future__ import annotations

import re

from bot.prompting.syntax import COMMAS

#: The caller parses name and strength, because names may contain colons.
_TAG = re.compile(r"[<＜]\s*(?:lora|lyco)\s*[:：]([^<>＜＞]*)[>＞]", re.IGNORECASE)  # noqa: RUF001
_BLANKS = " \t\u3000"


def take_loras(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt without its LoRAs, and the LoRAs as `name` or `name:0.8`.

    Commas and blanks that a LoRA would leave behind are removed too.

    >>> take_loras("1girl, <lora:ink:0.8>, smile <lora:chibi>")
    ('1girl, smile', ('ink:0.8', 'chibi'))
    """
    loras = tuple(match[1].strip() for match in _TAG.finditer(prompt))
    if not loras:
        return prompt, ()
    first, *others = (piece for place, piece in enumerate(_TAG.split(prompt)) if place % 2 == 0)
    kept = [first.rstrip(_BLANKS)]
    for text in others:
        _append(kept, text)
    return "".join(kept).rstrip(_BLANKS + ",、，"), loras  # noqa: RUF001


def write_lora(name: str, strength: float) -> str | None:
    """A LoRA in the syntax of `take_loras`; None if its name contains a character that breaks it."""
    if re.search("[<>＜＞]", name):  # noqa: RUF001
        return None
    return f"<lora:{name}:{strength_text(strength)}>"


def strength_text(strength: float) -> str:
    """The shortest exact text of a strength."""
    short = f"{strength:g}"
    return short if float(short) == strength else repr(strength)


def _append(kept: list[str], text: str) -> None:
    """Joins the text before and after a removed LoRA."""
    before = next((piece for piece in reversed(kept) if piece), "")
    text = text.lstrip(_BLANKS)
    if not before or before[-1] in COMMAS:
        if text[:1] and text[0] in COMMAS:
            text = text[1:].lstrip(_BLANKS)
        between = " " if before and before[-1] != "\n" else ""
    else:
        between = "" if not text or text[0] in COMMAS + ")" else " "
    rest = text.rstrip(_BLANKS)
    if rest:
        kept += [between, rest]
