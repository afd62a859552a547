"""discord.py can be pointed at another server than Discord, and back."""

from __future__ import annotations

import pytest
from discord.asset import Asset
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

from bot.ops.endpoints import point_discord_at


@pytest.fixture
def restored_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((Route, "BASE"), (DiscordWebSocket, "DEFAULT_GATEWAY"), (Asset, "BASE")):
        monkeypatch.setattr(owner, name, getattr(owner, name))


def test_discord_py_is_pointed_elsewhere(restored_endpoints: None) -> None:
    point_discord_at("http://127.0.0.1:8080/api/v10/", "ws://127.0.0.1:8080/gateway")
    assert Route.BASE == "http://127.0.0.1:8080/api/v10"
    assert Route("GET", "/users/@me").url == "http://127.0.0.1:8080/api/v10/users/@me"
    assert URL("ws://127.0.0.1:8080/gateway") == DiscordWebSocket.DEFAULT_GATEWAY
    assert Asset.BASE == "http://127.0.0.1:8080"


def test_discords_own_addresses_change_nothing(restored_endpoints: None) -> None:
    before = (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, Asset.BASE)
    for _ in range(2):
        point_discord_at("https://discord.com/api/v10", "wss://gateway.discord.gg/")
        assert before == (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, Asset.BASE)
        point_discord_at("http://127.0.0.1:8080/api/v10", "ws://127.0.0.1:8080/gateway")
    point_discord_at("https://discord.com/api/v10", "wss://gateway.discord.gg/")
    assert before == (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, Asset.BASE)


@pytest.mark.parametrize(
    ("api", "gateway", "complaint"),
    [
        ("discord.com/api", "wss://gateway.discord.gg", "DISCORD_API_URL .* starts with http:// or https://"),
        ("https://discord.com/api/v10", "https://gateway.discord.gg", "DISCORD_GATEWAY_URL .* ws:// or wss://"),
        ("http://[", "wss://gateway.discord.gg", "is not a valid address"),
    ],
)
def test_addresses_that_cannot_be_are_refused(api: str, gateway: str, complaint: str, restored_endpoints: None) -> None:
    before = Route.BASE
    with pytest.raises(ValueError, match=complaint):
        point_discord_at(api, gateway)
    assert before == Route.BASE
