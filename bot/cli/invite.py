"""`anima invite`: prints the address that invites the bot, with the permissions that it asks for and why."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from bot.cli import Commands, fail

if TYPE_CHECKING:
    import discord

    from bot.ops.settings import Settings


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "invite",
        help="print the address that invites the bot to a server",
        description="Asks Discord which application DISCORD_TOKEN belongs to, and prints the addresses that add it to "
        "a server or to a person, with the permissions that it asks for and why. Nothing is changed.",
    )
    parser.set_defaults(command=invite)


def invite(options: argparse.Namespace) -> None:
    from bot.cli.startup_errors import explain
    from bot.ops.settings import Settings

    try:
        application = asyncio.run(_application(Settings.read()))
    except Exception as error:
        if (sentence := explain(error)) is None:
            raise
        fail(sentence)
    print(_invitation(application))


async def _application(settings: Settings) -> discord.AppInfo:
    """The application that the token belongs to. Raises CannotStart, discord.LoginFailure, aiohttp.ClientError."""
    import discord

    from bot.ops.endpoints import point_discord_at
    from bot.ops.errors import StartupError

    if settings.discord_token is None:
        raise StartupError("DISCORD_TOKEN is not set. Put your bot's token into .env; its address is made from it.")
    point_discord_at(settings.discord_api_url, settings.discord_gateway_url)
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(settings.discord_token.get_secret_value())
        return await client.application_info()


def _invitation(application: discord.AppInfo) -> str:
    import discord

    from bot.cli.permissions import NEEDED, WHAT_FOR

    to_server = discord.utils.oauth_url(application.id, permissions=NEEDED, scopes=("bot", "applications.commands"))
    to_person = discord.utils.oauth_url(application.id, scopes=("applications.commands",)) + "&integration_type=1"
    lines = [f"{application.name} is added to a server at", f"  {to_server}", "It asks for"]
    lines += [f"  {_as_discord_says(name):<25} {reason}" for name, reason in WHAT_FOR.items()]
    if application.user_integration_config is not None:
        lines += ["A person adds it to their own account, and has its commands everywhere, at", f"  {to_person}"]
    else:
        lines += [
            "To let people add it to their own account as well, tick User Install on the page Installation of the "
            "developer portal."
        ]
    if not application.bot_public:
        lines += ["Only its owner may add it: it is not public (developer portal, page Bot, Public Bot)."]
    if application.interactions_endpoint_url:
        lines += [
            f"It will answer nothing while its commands are sent to {application.interactions_endpoint_url}: empty the "
            "Interactions Endpoint URL (developer portal, page General Information)."
        ]
    return "\n".join(lines)


def _as_discord_says(permission: str) -> str:
    return permission.replace("_", " ").title().replace(" In ", " in ")
