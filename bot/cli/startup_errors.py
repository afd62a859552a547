"""Why the bot cannot start or continue: one sentence for every error that an operator can fix."""

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

WRONG_TOKEN = "Discord rejected DISCORD_TOKEN. Copy the token again from the developer portal (page Bot) into .env."
UNREACHABLE = (
    "Discord cannot be reached ({why}). Check this machine's network, DISCORD_API_URL if you set it, and "
    "https://discordstatus.com. Then start again."
)

SELF_EXPLANATORY = (
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
    """None for an error that an operator cannot fix."""
    match error:
        case discord.LoginFailure() | discord.ConnectionClosed(code=4004):  # the token was reset while the bot ran
            return WRONG_TOKEN
        case discord.HTTPException(status=429):  # by Cloudflare; discord.py waits for Discord's own limits
            return "Discord has temporarily blocked this machine for too many requests. Start again in an hour."
        case discord.DiscordServerError() | aiohttp.ClientError():
            return UNREACHABLE.format(why=error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return f"The disk is full ({error.filename or error}). Free some space, then start again."
        case _ if isinstance(error, SELF_EXPLANATORY):
            return str(error)
    return None
