"""Serves the sandbox's page: its files, its translations, and the API it uses."""

from collections.abc import Sequence

from aiohttp import web

from bot.sandbox.fake_discord import FakeDiscord
from bot.sandbox.page_server import api, catalogs, files


def add_routes(application: web.Application, discord: FakeDiscord, examples: Sequence[str] = ()) -> None:
    """Adds the page of `discord` to its server: what `FakeDiscord(routes=…)` takes.

    examples: prompts that the page offers at the top of a channel, for a model that can draw little else.
    """
    files.add_routes(application)
    catalogs.add_routes(application)
    api.add_routes(application, discord, examples)
