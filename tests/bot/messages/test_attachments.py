"""Files are fetched from Discord alone: nobody makes the bot open an address of their choosing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from discord.asset import Asset

from bot.generation.errors import UnusableImage
from bot.messages import attachments
from bot.messages.attachments import fetch, is_kept_by_discord
from tests.bot.harness import Stage


class Elsewhere:
    """A server that notes who comes, and sends visitors on."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        self.server = TestServer(application)

    @property
    def base(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.visits.append(request.path)
        if request.path.endswith("onwards"):
            raise web.HTTPFound(f"{self.base}/secret")
        if request.path.endswith("endless"):
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(64):
                await response.write(bytes(1 << 20))
            return response
        return web.Response(body=b"secret")


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    elsewhere = Elsewhere()
    await elsewhere.server.start_server()
    yield elsewhere
    await elsewhere.server.close()


@pytest.fixture
def as_discord(elsewhere: Elsewhere, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """The same server in the place of Discord's own."""
    monkeypatch.setattr(Asset, "BASE", elsewhere.base)
    return elsewhere


async def test_a_file_comes_from_discords_own_addresses(stage: Stage, as_discord: Elsewhere) -> None:
    assert await fetch(stage.client, f"{as_discord.base}/attachments/1/2/a.png") == b"secret"


async def test_a_redirect_is_not_followed(stage: Stage, as_discord: Elsewhere) -> None:
    with pytest.raises(UnusableImage):
        await fetch(stage.client, f"{as_discord.base}/attachments/1/2/onwards")
    assert as_discord.visits == ["/attachments/1/2/onwards"]


async def test_downloads_stop_at_the_limit_whatever_size_was_announced(
    stage: Stage, as_discord: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MAX_FETCHED_SIZE", 3 << 20)
    with pytest.raises(UnusableImage, match="too large"):
        await fetch(stage.client, f"{as_discord.base}/attachments/1/2/endless", 10)


@pytest.mark.parametrize(
    "address",
    [
        "{elsewhere}/attachments/1/2/a.png",
        "{discord}@{host}/attachments/1/2/a.png",
        "{discord}.{host}/attachments/1/2/a.png",
        "{discord}/attachments@{host}/1/2/a.png",
        "{discord}/api/v10/users/@me",
        "file:///etc/passwd",
        "",
    ],
)
async def test_attachments_on_other_hosts_are_not_opened(stage: Stage, elsewhere: Elsewhere, address: str) -> None:
    host = elsewhere.base.removeprefix("http://")
    url = address.format(elsewhere=elsewhere.base, discord=Asset.BASE, host=host)
    before = len(stage.discord.request_log.requests)
    with pytest.raises(UnusableImage):
        await fetch(stage.client, url)
    assert elsewhere.visits == [] and len(stage.discord.request_log.requests) == before


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://cdn.discordapp.com/attachments/1/2/cat.png?ex=1", True),
        ("https://cdn.discordapp.com/ephemeral-attachments/1/2/cat.png", True),
        ("https://cdn.discordapp.com.example.com/attachments/1/2/cat.png", False),
        ("https://example.com/?https://cdn.discordapp.com/attachments/1/2/cat.png", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("file:///etc/passwd", False),
    ],
)
def test_only_addresses_of_discord_are_opened(url: str, kept: bool) -> None:
    assert is_kept_by_discord(url) is kept
