"""The addresses where discord.py finds Discord: the real one or a local stand-in."""

from discord import VoiceClient
from discord.asset import Asset
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from bot.ops.settings import SettingsError

DISCORD_CDN = "https://cdn.discordapp.com"


def point_discord_at(api_url: str, gateway_url: str) -> None:
    """Makes discord.py use the Discord at these addresses; no effect if they are discord.py's defaults.

    `api_url` ends in the API's version, as in `https://discord.com/api/v10`; unless its host is discord.com, avatars
    and other assets come from the API's origin. Must run before a client starts. Raises SettingsError for an invalid
    address.
    """
    api = _checked(api_url, "DISCORD_API_URL", ("http", "https"))
    gateway = _checked(gateway_url, "DISCORD_GATEWAY_URL", ("ws", "wss"))
    Route.BASE = str(api).rstrip("/")
    Asset.BASE = DISCORD_CDN if api.host == "discord.com" else str(api.origin())
    DiscordWebSocket.DEFAULT_GATEWAY = gateway
    VoiceClient.warn_nacl = VoiceClient.warn_dave = (
        False  # the bot never uses voice, so its missing packages do not matter
    )


def _checked(address: str, variable: str, schemes: tuple[str, ...]) -> URL:
    try:
        url = URL(address)
    except ValueError as error:
        raise SettingsError(f"{variable} is {address!r}, which is not a valid address: {error}.") from error
    if url.scheme not in schemes or not url.host:
        wanted = " or ".join(f"{scheme}://" for scheme in schemes)
        raise SettingsError(f"{variable} is {address!r}, but must be a full address that starts with {wanted}.")
    return url
