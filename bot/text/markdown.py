"""Makes users' text safe to show: no Markdown, no mentions, limited length."""

from __future__ import annotations

import re

import discord

from bot.text.translation import N_, say

#: Maximum length of a prompt in its job's message, in characters. *Info* shows all of it.
MAX_PROMPT_SHOWN = 300
#: Maximum length of a model's or a LoRA's name in a sentence.
MAX_NAME_SHOWN = 60
_MARKDOWN = re.compile(r"[\\*_~`|\[]|<(?=[@#:/a-z])|:(?=//)")
_LINE_MARKDOWN = re.compile(r"^([ \t]*\d*)(?:(?<=\d)(?=\.\s)|(?<!\d)(?=(?:#{1,3}|>{1,3}|-#?|\+)\s))()", re.MULTILINE)
NO_PROMPT = N_("(prompt no longer saved)")


def blockquote(text: str, max_length: int) -> str:
    """The text as a block quote."""
    return "\n".join(f"> {line}" for line in _escape(text, max_length).splitlines())


def inline(text: str, max_length: int) -> str:
    return _escape(" ".join(text.split()), max_length)


def truncate(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def _escape(text: str, max_length: int) -> str:
    if not text.strip():
        return say(NO_PROMPT)
    # Turn all line separators into "\n", because `_LINE_MARKDOWN` only finds the beginnings of such lines.
    lines = "\n".join(truncate(text, max_length).splitlines())
    escaped = _MARKDOWN.sub(r"\\\g<0>", discord.utils.escape_mentions(lines))
    return _LINE_MARKDOWN.sub(r"\1\\\2", escaped)
