"""Why the bot cannot start or continue: one sentence for every error that an operator can fix."""

from __future__ import annotations

import errno

from bot.ops.errors import CERTIFICATE_ADVICE, StartupError, certificate_fault
from bot.ops.settings import SettingsError
from bot.prompting.tags import TagFileError
from inference import CheckpointError
from inference.process import EngineDied, EngineFailed
from storage.backend.errors import DatabaseRefused, StorageUnavailable

WRONG_TOKEN = "Discord rejected DISCORD_TOKEN. Copy the token again from the developer portal (page Bot) into .env."
UNREACHABLE = (
    "Discord cannot be reached ({why}). Check this machine's network, DISCORD_API_URL if you set it, and "
    "https://discordstatus.com. Then start again."
)
PRIVILEGED_INTENTS = (
    "Discord refused the intents that the bot asked for (4014). This version asks for none that needs permission: "
    "update the bot (`git pull`, `make install`), or allow the intents in the developer portal (page Bot)."
)
INVALID_INTENTS = (
    "Discord does not know the intents that the bot asked for (4013). Update the bot: `git pull`, then `make install`."
)
SHARDING_REQUIRED = (
    "The bot is in more servers than Discord allows on its connections ({code}). Start it again: at each start it asks "
    "Discord how many connections to use."
)
ENTRY_POINT_COMMAND = (
    "Discord refused the bot's commands, because the application has an entry point command (50240). Turn it off in "
    "the developer portal (page Activities, Settings, Enable Activities). Then start again."
)
TOO_MANY_NEW_COMMANDS = (
    "Discord refused the bot's commands, because this application has reached the daily limit of new commands (30034). "
    "Stop the bot, and start it again tomorrow."
)
REFUSED_COMMANDS = {50240: ENTRY_POINT_COMMAND, 30034: TOO_MANY_NEW_COMMANDS}

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
    """The sentence for an error; None if an operator cannot fix it."""
    return str(error) if isinstance(error, SELF_EXPLANATORY) else _explain_others(error)


def _explain_others(error: Exception) -> str | None:
    import aiohttp  # not at the top: most errors at start need neither
    import discord

    match error:
        case discord.LoginFailure() | discord.ConnectionClosed(code=4004):  # the token was reset while the bot ran
            return WRONG_TOKEN
        case discord.PrivilegedIntentsRequired() | discord.ConnectionClosed(code=4014):
            return PRIVILEGED_INTENTS
        case discord.ConnectionClosed(code=4013):
            return INVALID_INTENTS
        case discord.ConnectionClosed(code=4010 | 4011 as code):
            return SHARDING_REQUIRED.format(code=code)
        case discord.HTTPException(code=code) if code in REFUSED_COMMANDS:
            return REFUSED_COMMANDS[code]
        case discord.HTTPException(status=429):  # by Cloudflare; discord.py waits for Discord's own limits
            return "Discord has temporarily blocked this machine for too many requests. Start again in an hour."
        case aiohttp.ClientError() if (fault := certificate_fault(error)) is not None:
            return f"Discord cannot be reached ({fault}). {CERTIFICATE_ADVICE}. Then start again."
        case discord.DiscordServerError() | aiohttp.ClientError():
            return UNREACHABLE.format(why=error)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return f"The disk is full ({error.filename or error}). Free some space, then start again."
    return None
