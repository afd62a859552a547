"""Why the bot cannot start or go on, in one sentence that says what to do; what nobody can mend has none."""

from __future__ import annotations

import errno

import aiohttp
import discord

from bot.ops.errors import StartupError
from bot.ops.settings import SettingsError
from bot.prompting.tags import TagFileError
from inference import CheckpointError
from inference.process import EngineDied, EngineFailed
from storage.backend.errors import DatabaseRefused
from storage.backend.transactions import StorageUnavailable

WRONG_TOKEN = "Discord does not know this DISCORD_TOKEN. Copy it anew from the developer portal (page Bot) into .env."
UNREACHABLE = (
    "Discord cannot be reached ({why}). Look at this machine's network, at DISCORD_API_URL if you set it, and at "
    "https://discordstatus.com; then start again."
)

SAYS_IT_ITSELF = (
    StartupError,
    SettingsError,
    TagFileError,
    CheckpointError,
    EngineDied,
    EngineFailed,
    DatabaseRefused,
    StorageUnavailable,
)


def explain(error: Exception) -> str | None:
    """None for an error that is no operator's to mend."""
    match error:
        case discord.LoginFailure() | discord.ConnectionClosed(code=4004):  # the token was changed while we ran
            return WRONG_TOKEN
        case discord.HTTPException(status=429):  # by Cloudflare; Discord's own limits are waited for
            return "Discord has barred this machine for a while, for asking too often. Start again in an hour."
        case discord.DiscordServerError() | aiohttp.ClientError():
            return UNREACHABLE.format(why=error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return f"The disk is full ({error.filename or error}). Free some space, then start again."
        case _ if isinstance(error, SAYS_IT_ITSELF):
            return str(error)
    return None
