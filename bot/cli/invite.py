"""`anima invite`: prints the link that adds the bot to a server, and the reason for each permission."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from bot.cli import Commands, fail

if TYPE_CHECKING:
    import discord

    from bot.ops.settings import Settings


PUBLIC_WITHOUT_LIST = (
    "Anybody can add the bot to their server and use your GPU: it is public, and ALLOWED_SERVERS is not set. Turn "
    "Public Bot off (developer portal, page Bot), or list the servers in ALLOWED_SERVERS."
)


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "invite",
        help="print the link that adds the bot to a server",
        description="Prints the links that add the bot of DISCORD_TOKEN to a server or to a user account, with the "
        "permissions it needs and what they are for. Changes nothing.",
    )
    parser.set_defaults(command=invite)


def invite(options: argparse.Namespace) -> None:
    from bot.cli.startup_errors import explain
    from bot.ops.settings import Settings

    try:
        settings = Settings.read()
        application = asyncio.run(fetch_application(settings))
    except Exception as error:
        if (sentence := explain(error)) is None:
            raise
        fail(sentence)
    print(_invitation(application))
    if application.bot_public and not settings.allowed_servers:
        print(PUBLIC_WITHOUT_LIST)


async def fetch_application(settings: Settings) -> discord.AppInfo:
    """The application that the token belongs to. Raises StartupError, discord.LoginFailure, aiohttp.ClientError."""
    from bot.ops.errors import StartupError

    if settings.discord_token is None:
        raise StartupError("DISCORD_TOKEN is not set. Add your bot's token to .env; the link is made from it.")
    import discord

    from bot.ops.endpoints import point_discord_at

    point_discord_at(settings.discord_api_url, settings.discord_gateway_url)
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(settings.discord_token.get_secret_value())
        return await client.application_info()


def _invitation(application: discord.AppInfo) -> str:
    import discord

    from bot.cli.permissions import NEEDED, WHAT_FOR

    to_server = discord.utils.oauth_url(application.id, permissions=NEEDED, scopes=("bot", "applications.commands"))
    to_person = discord.utils.oauth_url(application.id, scopes=("applications.commands",)) + "&integration_type=1"
    lines = [f"Add {application.name} to a server:", f"  {to_server}", "It needs these permissions:"]
    lines += [f"  {_discord_name(name):<25} {reason}" for name, reason in WHAT_FOR.items()]
    if application.user_integration_config is not None:
        lines += ["Add it to your own account to use its commands everywhere:", f"  {to_person}"]
    else:
        lines += [
            "To let users add it to their own account, enable User Install in the developer portal (page Installation)."
        ]
    if not application.bot_public:
        lines += ["Only its owner can add it, because it is not public (developer portal, page Bot, Public Bot)."]
    if application.interactions_endpoint_url:
        lines += [
            f"It cannot respond while Discord sends its commands to {application.interactions_endpoint_url}: clear the "
            "Interactions Endpoint URL (developer portal, page General Information)."
        ]
    return "\n".join(lines)


def _discord_name(permission: str) -> str:
    return permission.replace("_", " ").title().replace(" In ", " in ")
