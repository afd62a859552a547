"""Classifies Discord's errors: the message is deleted, it is out of reach, or another attempt may succeed."""

from __future__ import annotations

import aiohttp
import discord

#: Discord's codes for an unknown channel and an unknown message.
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE = 10003, 10008
#: A permission is missing: to post at all, or only to attach files.
MISSING_PERMISSIONS = 50013
#: A channel or server that the bot may not see.
MISSING_ACCESS = 50001
#: Too many edits of messages older than an hour, or of published ones in an announcement channel; Discord refuses more
#: for some time.
TOO_MANY_OLD_EDITS, TOO_MANY_PUBLISHED_EDITS = 30046, 20022
EDITS_REFUSED = (TOO_MANY_OLD_EDITS, TOO_MANY_PUBLISHED_EDITS)
#: Uploads are limited in a server, but text can still be sent.
UPLOADS_LIMITED = 400001
#: A thread is archived. A new message opens it again, unless it is locked too.
THREAD_ARCHIVED = 50083
#: Codes that close a route, whatever the HTTP status: an archived or locked thread, too many open threads.
_THREADS = (THREAD_ARCHIVED, 160005, 160006)
#: A message or channel of the wrong type, a message that cannot be edited, a user who cannot be written to.
_WRONG_KIND = (50003, 50005, 50007, 50008, 50021, 50024, 50033, 50068, 40058, 50278)
#: The content of a message is blocked by AutoMod, or by the filters for explicit content and harmful links.
CONTENT_BLOCKED = (200000, 200001, 20009, 240000)
#: The server limits who may write or upload.
_LIMITED = (50009, UPLOADS_LIMITED)
CLOSED = (*_THREADS, *_WRONG_KIND, *CONTENT_BLOCKED, *_LIMITED, *EDITS_REFUSED)
#: Codes that are temporary despite their HTTP status: private messages opened too fast, a part of Discord that is
#: switched off or overloaded, or a block by Cloudflare.
TEMPORARY_CODES = (40003, 40006, 130000, 40333)
#: The interaction's token has expired.
TOKEN_EXPIRED = 50027
TOO_MANY_REQUESTS = 429
#: The status, and the codes, of a request or a file that is too large.
_TOO_LARGE, _TOO_LARGE_CODES = 413, (40005, 50045)


class OldMessageRefused(Exception):
    """Discord refuses edits of old or published messages for some time, and discord.py would wait that long."""


class MessageDeleted(Exception):
    """Somebody deleted a message of the bot, so its content is no longer wanted."""

    def __str__(self) -> str:
        return "its message was deleted"


def is_out_of_reach(error: Exception) -> bool:
    """Whether the message was deleted, is forbidden, or its token expired. Another route may be open."""
    if isinstance(error, OldMessageRefused):
        return True
    if not isinstance(error, discord.HTTPException) or error.code in TEMPORARY_CODES:
        return False
    return error.status in (401, 403, 404) or error.code in CLOSED


def is_too_large(error: discord.HTTPException) -> bool:
    return error.status == _TOO_LARGE or error.code in _TOO_LARGE_CODES


def is_temporary(error: Exception) -> bool:
    """Whether the same request may succeed later: Discord is busy or out of reach."""
    if not isinstance(error, discord.HTTPException):
        return isinstance(error, aiohttp.ClientError | OSError)
    if is_out_of_reach(error):
        return False
    return error.status == TOO_MANY_REQUESTS or error.status >= 500 or error.code in TEMPORARY_CODES
