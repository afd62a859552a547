"""What Discord's refusals mean for a message: taken away by somebody, out of reach, or worth another try."""

from __future__ import annotations

import discord

#: Discord's codes for a channel, and for a message, that does not exist (any more).
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE = 10003, 10008
#: A permission is missing: to post at all, or only to attach files.
MISSING_PERMISSIONS = 50013
#: So many edits of messages that are older than an hour were made that Discord takes no more for some time.
TOO_MANY_OLD_EDITS = 30046
#: Codes that close a way whatever the status: an archived or locked thread, too many open threads, a message or a
#: channel of another kind, a message that cannot be edited, what the server's own moderation does not let through.
CLOSED = (50083, 160005, 160006, 50024, 50033, 50005, 50008, 50068, 200000, 200001, TOO_MANY_OLD_EDITS)
#: Codes that pass by themselves in spite of their status: private messages opened too fast.
MAY_PASS = (40003,)
TOO_MANY_REQUESTS, TOO_LARGE = 429, 413


class OldMessageRefused(Exception):
    """Discord takes no edits of old messages for some time; discord.py would wait for it."""


class MessageDeleted(Exception):
    """Somebody took away a message of ours that was there. What it was to show is not wanted any longer."""

    def __str__(self) -> str:
        return "its message was deleted"


def is_out_of_reach(error: Exception) -> bool:
    """Gone, closed to us, or behind a token that has expired: another way may be open."""
    if isinstance(error, OldMessageRefused):
        return True
    if not isinstance(error, discord.HTTPException) or error.code in MAY_PASS:
        return False
    return error.status in (401, 403, 404) or error.code in CLOSED


def may_pass(error: discord.HTTPException) -> bool:
    """Whether Discord may take the same again later."""
    if is_out_of_reach(error):
        return False
    return error.status == TOO_MANY_REQUESTS or error.status >= 500 or error.code in MAY_PASS
