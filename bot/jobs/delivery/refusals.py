"""What Discord's errors mean for a message: deleted, out of reach, or worth another attempt."""

from __future__ import annotations

import aiohttp
import discord

#: Discord's codes for an unknown channel and an unknown message.
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE = 10003, 10008
#: A permission is missing: to post at all, or only to attach files.
MISSING_PERMISSIONS = 50013
#: A channel or server that the bot may not see.
MISSING_ACCESS = 50001
#: Too many edits of messages older than an hour; Discord refuses more for some time.
TOO_MANY_OLD_EDITS = 30046
#: Codes that close a route whatever the status: an archived or locked thread, too many open threads, a message or
#: channel of the wrong type, a message that cannot be edited, content blocked by the server's AutoMod.
CLOSED = (50083, 160005, 160006, 50024, 50033, 50005, 50008, 50068, 200000, 200001, TOO_MANY_OLD_EDITS)
#: Codes that are temporary in spite of their status: private messages opened too fast.
MAY_PASS = (40003,)
#: The interaction's token has expired.
TOKEN_EXPIRED = 50027
TOO_MANY_REQUESTS, TOO_LARGE = 429, 413


class OldMessageRefused(Exception):
    """Discord refuses edits of old messages for some time; discord.py would wait for that."""


class MessageDeleted(Exception):
    """Somebody deleted a message of the bot, so what it was to show is no longer wanted."""

    def __str__(self) -> str:
        return "its message was deleted"


def is_out_of_reach(error: Exception) -> bool:
    """Deleted, forbidden, or with an expired token: another route may be open."""
    if isinstance(error, OldMessageRefused):
        return True
    if not isinstance(error, discord.HTTPException) or error.code in MAY_PASS:
        return False
    return error.status in (401, 403, 404) or error.code in CLOSED


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: Discord is busy or out of reach."""
    if not isinstance(error, discord.HTTPException):
        return isinstance(error, aiohttp.ClientError | OSError)
    if is_out_of_reach(error):
        return False
    return error.status == TOO_MANY_REQUESTS or error.status >= 500 or error.code in MAY_PASS
