"""Routes of the REST API: method, path and handler, and the context that handlers get."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bot.sandbox.model import errors as refusals
from bot.sandbox.model.commands import CommandRegistry
from bot.sandbox.model.errors import ApiError
from bot.sandbox.model.interactions import DiscordEvents, Interactions
from bot.sandbox.model.messages import Messages
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.world import Channel, Guild, World
from bot.sandbox.server.gateway import Gateway
from bot.sandbox.server.requests import ApiCall


@dataclass(frozen=True)
class ApiContext:
    """The parts of the stand-in that handlers use, and the checks that many of them share."""

    world: World
    commands: CommandRegistry
    messages: Messages
    interactions: Interactions
    gateway: Gateway
    events: DiscordEvents

    def channel(self, id: int) -> Channel:
        """The channel with this id; raises ApiError if there is none or the bot may not see it."""
        channel = self.world.channel(id)
        if channel is None:
            raise ApiError(refusals.UNKNOWN_CHANNEL)
        if not self.world.permissions(self.world.bot, channel) & Permissions.VIEW_CHANNEL:
            raise ApiError(refusals.MISSING_ACCESS)
        return channel

    def guild(self, id: int) -> Guild:
        guild = self.world.guilds.get(id)
        if guild is None:
            raise ApiError(refusals.UNKNOWN_GUILD)
        if self.world.bot.id not in guild.members:
            raise ApiError(refusals.MISSING_ACCESS)
        return guild

    def require(self, channel: Channel, needed: Permissions) -> None:
        """Raises Missing Permissions unless the bot has all of `needed` in `channel`."""
        if needed & ~self.world.permissions(self.world.bot, channel):
            raise ApiError(refusals.MISSING_PERMISSIONS)

    def check_application(self, id: int) -> None:
        if id != self.world.application.id:
            raise ApiError(refusals.UNKNOWN_APPLICATION)


#: An HTTP status, and the body to send as JSON (None: no body).
Answer = tuple[int, Any]
Handler = Callable[[ApiContext, ApiCall], Answer]


@dataclass(frozen=True)
class Route:
    method: str
    template: str
    handler: Handler
    needs_bot_token: bool
    pattern: re.Pattern[str]


class RouteTable:
    """The routes of one subject, registered by decorating their handlers."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def add(self, method: str, template: str, *, needs_bot_token: bool = True) -> Callable[[Handler], Handler]:
        """Registers a handler. In `template`, a name that ends in "token" matches any text, any other name an id."""

        def register(handler: Handler) -> Handler:
            pattern = re.sub(r"\{(\w*token)\}", r"(?P<\1>[^/]+)", template)
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>\\d+)", pattern)
            self._routes.append(Route(method, template, handler, needs_bot_token, re.compile(pattern)))
            return handler

        return register
