"""Selects the tags of a description that may be drawn in a channel: applies the rules for prompts to them together."""

from __future__ import annotations

from collections.abc import Sequence

from bot.rules.policy import ChannelContext, may_be_explicit
from bot.rules.safety import asks_for_nsfw, blocked_words, minors_sexual
from bot.rules.server_settings import ServerSettings

#: A term that forbids all sexual terms beside it.
MINOR = "child"


def permitted_tags(settings: ServerSettings, channel: ChannelContext, tags: Sequence[str]) -> tuple[str, ...]:
    """The tags that may be drawn there together, in their order; the first ones have precedence. Slow.

    If they name minors together with anything sexual, all sexual tags are left out, whatever their probability.
    """
    if _are_permitted(settings, channel, tags):
        return tuple(tags)
    if minors_sexual(", ".join(tags)) is not None:
        tags = [tag for tag in tags if minors_sexual(MINOR, tag) is None]
    permitted: list[str] = []
    for tag in tags:
        if _are_permitted(settings, channel, [*permitted, tag]):
            permitted.append(tag)
    return tuple(permitted)


def _are_permitted(settings: ServerSettings, channel: ChannelContext, tags: Sequence[str]) -> bool:
    prompt = ", ".join(tags)
    if minors_sexual(prompt) is not None or blocked_words(prompt, settings.safety.blocked_words):
        return False
    return may_be_explicit(settings, channel) or not asks_for_nsfw(prompt)
