"""What a person typed, made fit to be shown: no markdown, no mentions, no more than there is room for."""

from __future__ import annotations

import discord

from bot.language import say

PROMPT_SHOWN = 1000
"""Characters of a prompt in the message of its job."""
WORDLESS = "(its words are not kept any more)"


def quoted(text: str, longest: int) -> str:
    """As a block quote."""
    return "\n".join(f"> {line}" for line in _inert(text, longest).splitlines())


def in_a_line(text: str, longest: int) -> str:
    return _inert(" ".join(text.split()), longest)


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _inert(text: str, longest: int) -> str:
    if not text.strip():
        return say(WORDLESS)
    return discord.utils.escape_markdown(discord.utils.escape_mentions(cut(text, longest)))
