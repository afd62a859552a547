"""`FakeDiscord`: starts the server, and acts as users and moderators."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from aiohttp import web

from bot.ops.errors import StartupError, port_fault
from bot.sandbox.client_errors import ClientRefused, ImpossibleAction, message_deleted
from bot.sandbox.interaction_handle import TIMEOUT, InteractionHandle
from bot.sandbox.model.attachments import Cdn, Upload
from bot.sandbox.model.clock import Clock, Snowflakes
from bot.sandbox.model.commands import CommandRegistry
from bot.sandbox.model.events import EventLog
from bot.sandbox.model.interactions import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL_SUBMIT,
    DiscordEvent,
    DiscordEvents,
    Interaction,
    Interactions,
)
from bot.sandbox.model.messages import Body, Message, Messages
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.serializers import channel_json, user_json
from bot.sandbox.model.world import Channel, Guild, Overwrite, Role, User, World
from bot.sandbox.server import middleware
from bot.sandbox.server.faults import Faults
from bot.sandbox.server.gateway import Gateway
from bot.sandbox.server.limits.limiter import RateLimiter
from bot.sandbox.server.limits.rate_limits import RateLimits
from bot.sandbox.server.limits.sharding import Sharding
from bot.sandbox.server.request_log import RequestLog
from bot.sandbox.server.rest import PREFIX, Rest
from bot.sandbox.server.routing import ApiContext
from bot.sandbox.user_client import Choice, ClientModal, UserClient

if TYPE_CHECKING:
    from bot.sandbox.server.openapi import OpenApi

#: The types that a browser may show when such a file is opened; others are downloaded.
INLINE_TYPES = {"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"}

#: Adds further routes to the server, such as those of the page.
AddRoutes: TypeAlias = "Callable[[web.Application, FakeDiscord], None]"


class CannotListen(StartupError):
    """The port cannot be used; the message says what to do."""

    def __init__(self, port: int, error: OSError) -> None:
        super().__init__(
            f"Port {port} {port_fault(error)}. Choose another one: anima sandbox --port {port % 60_000 + 1111}"
        )


class FakeDiscord:
    """A stand-in for Discord on loopback, for one bot.

    Use it as an async context manager, point the bot at `api_url` and `gateway_url` with `token`, and act as its users:

        async with FakeDiscord() as discord:
            ...  # start the bot
            await discord.wait_until_ready()
            interaction = await discord.slash(discord.world.alice, discord.world.general, "imagine", prompt="1girl")
            message = await interaction.response()

    `openapi` is the path of Discord's OpenAPI document; with it every request and every answer is checked against
    it too, and `openapi.violations` lists what was wrong. `routes` add what else the server has, such as a page.
    `limits` are Discord's rate limits for the bot's requests, and `sharding` says what it asks of the bot's
    connections, both counted by `clock`. All waiting is in real seconds, whatever `clock` shows.
    """

    def __init__(
        self,
        *,
        openapi: Path | str | None = None,
        clock: Clock | None = None,
        port: int = 0,
        routes: Iterable[AddRoutes] = (),
        limits: RateLimits = RateLimits(),  # noqa: B008 (a constant)
        sharding: Sharding = Sharding(),  # noqa: B008
    ) -> None:
        self._port = port
        self._routes = tuple(routes)
        self.clock = clock or Clock()
        snowflakes = Snowflakes(self.clock)
        self.world = World(snowflakes)
        self.events: DiscordEvents = EventLog(self.clock)
        self.faults = Faults()
        self.request_log = RequestLog()
        self.openapi = _document(Path(openapi)) if openapi is not None else None
        self.cdn = Cdn(self.clock, snowflakes)
        self.gateway = Gateway(self.world, self.clock, snowflakes, self.events, sharding)
        self.commands = CommandRegistry(self.world.application.id, snowflakes, self.events)
        self.messages = Messages(self.world, self.clock, snowflakes, self.cdn, self.events)
        self.interactions = Interactions(
            self.world, self.messages, self.clock, snowflakes, self.events, self.gateway.dispatch
        )
        context = ApiContext(self.world, self.commands, self.messages, self.interactions, self.gateway, self.events)
        limiter = RateLimiter(limits, self.clock)
        self.rest = Rest(context, self.clock, self.faults, self.request_log, self.openapi, limiter)
        self.client = UserClient(self.world, self.messages, self.commands, self.cdn)
        self._runner: web.AppRunner | None = None
        self.token = self.world.application.token
        self.host = ""
        #: The URL of the page that shows this Discord in a browser.
        self.page_url = ""
        self.api_url = ""
        self.gateway_url = ""

    # The server

    async def __aenter__(self) -> Self:
        middlewares = [middleware.same_origin_only(lambda: self.host)]
        application = web.Application(client_max_size=1 << 30, middlewares=middlewares)
        application.on_response_prepare.append(middleware.add_security_headers)
        application.router.add_get("/gateway", self.gateway.serve)
        application.router.add_get("/gateway/", self.gateway.serve)
        application.router.add_get("/attachments/{path:.*}", self._serve_attachment)
        for add_routes in self._routes:
            add_routes(application, self)
        application.router.add_route("*", PREFIX + "/{path:.*}", self.rest.serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise CannotListen(self._port, error) from None
        address, port = self._runner.addresses[0][:2]
        self.host = f"{address}:{port}"
        self.cdn.base = f"http://{self.host}"
        self.page_url = f"http://{self.host}/"
        self.api_url = self.cdn.base + PREFIX
        self.gateway_url = self.gateway.url = f"ws://{self.host}/gateway"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._runner is not None
        self.faults.clear()
        await self.interactions.close()
        await self.gateway.close()
        self.events.close()
        await self._runner.cleanup()

    async def _serve_attachment(self, request: web.Request) -> web.Response:
        attachment = self.cdn.open(request.path.lstrip("/"), request.query)
        if attachment is None:
            return web.Response(status=404, text="This content is no longer available.")
        shown = attachment.content_type in INLINE_TYPES
        headers = {
            "Cache-Control": "private, max-age=86400",
            "Content-Disposition": "inline" if shown else "attachment",
        }
        return web.Response(body=attachment.data, content_type=attachment.content_type, headers=headers)

    # Waiting

    async def wait_until_ready(self, timeout: float = TIMEOUT) -> None:
        """Returns once a bot has identified and has registered its commands."""
        if not (self.gateway.is_connected and self.commands.was_synced):
            await self.wait_for_event(
                lambda _: self.gateway.is_connected and self.commands.was_synced,
                timeout,
                "a bot that identifies and registers its commands",
                after=len(self.events.history),
            )

    async def wait_until_gone(self, timeout: float = TIMEOUT) -> None:
        """Returns once no bot is connected to the gateway."""
        if self.gateway.is_connected:
            await self.wait_for_event(
                lambda _: not self.gateway.is_connected,
                timeout,
                "the bot's goodbye",
                after=len(self.events.history),
            )

    async def wait_for_message(
        self,
        channel: Channel,
        matches: Callable[[Message], bool] = lambda message: True,
        timeout: float = TIMEOUT,
        *,
        after: int | None = None,
    ) -> Message:
        """The first version of a message in `channel` that matches: an existing one, a new one, or an edit.

        With `after` (the number of an event), considers only what happened after it.
        """
        if after is None:
            for message in reversed(self.messages_in(channel)):
                if matches(message):
                    return message
            after = len(self.events.history)

        def is_it(event: DiscordEvent) -> bool:
            message = event.message
            return (
                message is not None
                and event.kind in ("message_create", "message_update")
                and message.channel is channel
                and matches(message)
            )

        event = await self.wait_for_event(
            is_it, timeout, f"such a message in #{channel.name or 'a private channel'}", after
        )
        assert event.message is not None
        return event.message

    async def wait_for_event(
        self,
        matches: Callable[[DiscordEvent], bool],
        timeout: float = TIMEOUT,
        what: str = "such an event",
        after: int = 0,
    ) -> DiscordEvent:
        """The first event numbered above `after` that matches; the TimeoutError names `what` it waited for."""
        try:
            async with asyncio.timeout(timeout):
                return await self.events.wait_for(matches, after)
        except TimeoutError:
            raise TimeoutError(f"Waited {timeout:g} s for {what}. {self.what_happened()}") from None

    def what_happened(self) -> str:
        """Describes why a wait timed out: whether the bot is connected, the last events and refused requests."""
        refused = [
            f"{request} {request.answer}" if request.status else str(request)
            for request in self.request_log.refused()[-3:]
        ]
        lately = [f"{event.number} {event.kind} {_summary(event)}" for event in self.events.history[-8:]]
        connected = "is" if self.gateway.is_connected else "is not"
        return (
            f"The bot {connected} connected. Last events: {lately or 'none'}. "
            f"Last refused requests: {refused or 'none'}."
        )

    # What users do

    async def slash(
        self,
        user: User,
        channel: Channel,
        command: str,
        /,
        options: Mapping[str, object] | None = None,
        **named: object,
    ) -> InteractionHandle:
        """Types a slash command; options are checked against the registered command as Discord's client does.

        Pass files as `Upload`, and users, roles and channels as objects. Options whose name is not a Python
        identifier (or is "options") go into `options`.
        """
        data = self.client.slash(user, channel, command, {**(options or {}), **named})
        return self._handle_of(self.interactions.send(COMMAND, user, channel, data))

    async def autocomplete(
        self,
        user: User,
        channel: Channel,
        command: str,
        /,
        option: str,
        value: str,
        options: Mapping[str, object] | None = None,
        timeout: float = TIMEOUT,
        **named: object,
    ) -> list[Choice]:
        """The choices offered while `value` is typed into `option`, with the other options filled in as given."""
        others = {**(options or {}), **named}
        return await (await self.type_into(user, channel, command, option, value, others)).choices(timeout)

    async def type_into(
        self, user: User, channel: Channel, command: str, option: str, typed: str, others: Mapping[str, object]
    ) -> InteractionHandle:
        """Types into an option with autocomplete; `choices` of the returned handle waits for the choices."""
        data, kind = self.client.autocomplete(user, channel, command, option, typed, others)
        return self._handle_of(self.interactions.send(AUTOCOMPLETE, user, channel, data, option_type=kind))

    async def menu(
        self, user: User, target: Message | User, command: str, channel: Channel | None = None
    ) -> InteractionHandle:
        """Picks a command in the context menu of a message, or of a user seen in `channel`."""
        if isinstance(target, Message):
            channel = target.channel
            target = self.messages.get(target.id) or target
        if channel is None:
            raise ImpossibleAction("Say in which channel the user's menu is opened.")
        return self._handle_of(
            self.interactions.send(COMMAND, user, channel, self.client.menu(user, channel, target, command))
        )

    async def press(
        self,
        user: User,
        message: Message,
        *,
        label: str | None = None,
        custom_id: str | re.Pattern[str] | None = None,
    ) -> InteractionHandle:
        """Presses a button of the message as it is now, named by its label (or emoji) or its custom_id."""
        message = self.current(message)
        data = self.client.button(user, message, label, custom_id)
        return self._handle_of(self.interactions.send(COMPONENT, user, message.channel, data, source=message))

    async def choose(
        self, user: User, message: Message, custom_id: str | re.Pattern[str], values: Sequence[object]
    ) -> InteractionHandle:
        """Chooses in a select menu: options by value or label, or users, roles and channels."""
        message = self.current(message)
        data = self.client.selection(user, message, custom_id, values)
        return self._handle_of(self.interactions.send(COMPONENT, user, message.channel, data, source=message))

    async def submit(
        self, user: User, modal: ClientModal, values: Mapping[str, object] | None = None
    ) -> InteractionHandle:
        """Sends a form: `values` by custom_id or by label; fields left out keep their values."""
        data = self.client.modal(user, modal, values or {})
        opened_by = modal.interaction
        return self._handle_of(
            self.interactions.send(
                MODAL_SUBMIT, user, opened_by.channel, data, source=opened_by.source, opened_by=opened_by
            )
        )

    async def say(self, user: User, channel: Channel, content: str = "", files: Sequence[Upload] = ()) -> Message:
        """Posts a message as a user."""
        self.client.check_message(user, channel, content, files)
        return self.messages.create(channel, user, Body({"content": content}, dict(enumerate(files))))

    def delete(self, user: User, message: Message) -> None:
        """Deletes the user's own message, or any message if the user may manage messages."""
        message = self.current(message)
        self.client.check_can_see(user, message)
        manages = self.world.permissions(user, message.channel) & Permissions.MANAGE_MESSAGES
        if message.is_ephemeral or (message.author != user and not (manages and message.channel.guild)):
            raise ClientRefused("{user} may not delete that message.", user=user.username)
        self.messages.delete(message)

    def dm(self, user: User) -> Channel:
        """The private channel of `user` with the bot."""
        return self.world.dm_with(user)

    def current(self, message: Message) -> Message:
        """The message as it is now; raises ClientRefused if it was deleted."""
        now = self.messages.get(message.id)
        if now is None:
            raise message_deleted()
        return now

    def messages_in(self, channel: Channel, user: User | None = None) -> list[Message]:
        """The messages of a channel, oldest first: all of them, or those that `user` sees."""
        messages = self.messages.in_channel(channel)
        return messages if user is None else [m for m in messages if m.visible_to in (None, user)]

    def _handle_of(self, interaction: Interaction) -> InteractionHandle:
        return InteractionHandle(interaction, self)

    # What moderators do

    def delete_message(self, message: Message) -> None:
        self.messages.delete(self.current(message))

    def delete_all_messages(self) -> None:
        """Deletes all messages in all channels."""
        for message in self.messages.everywhere():
            self.messages.delete(message)

    def set_overwrite(
        self,
        channel: Channel,
        target: Role | User,
        *,
        allow: Permissions = Permissions(0),  # noqa: B008 (a constant)
        deny: Permissions = Permissions(0),  # noqa: B008
    ) -> None:
        """Allows and denies in one channel, replacing what was set for `target` before, and tells the bot."""
        channel.overwrites[target.id] = Overwrite(target, allow, deny)
        self.events.emit("channel_update", channel_json(channel))

    def set_age_restricted(self, channel: Channel, nsfw: bool) -> None:
        channel.nsfw = nsfw
        self.events.emit("channel_update", channel_json(channel))

    def archive_thread(self, thread: Channel, *, locked: bool = False) -> None:
        """Closes a thread: its messages can no longer be edited. A new message opens it, unless it is locked."""
        assert thread.is_thread, "Only threads are archived."
        thread.archived, thread.locked = True, locked
        self.events.emit("thread_update", channel_json(thread))

    def delete_channel(self, channel: Channel) -> None:
        assert channel.guild is not None, "Only channels of servers are deleted."
        written = channel_json(channel)
        channel.guild.channels.remove(channel)
        self.messages.delete_channel_messages(channel)
        self.events.emit("channel_delete", written)

    def ban(self, guild: Guild, user: User) -> None:
        """Bans a user from a server."""
        del guild.members[user.id]
        self.events.emit("guild_ban_add", {"guild_id": str(guild.id), "user": user_json(user)})

    def remove_bot(self, guild: Guild) -> None:
        """Kicks the bot from a server."""
        del guild.members[self.world.bot.id]
        self.events.emit("guild_delete", {"id": str(guild.id)})


def _document(path: Path) -> OpenApi:
    # Imported here because its dependencies are installed only for tests.
    from bot.sandbox.server.openapi import OpenApi

    return OpenApi(path)


def _summary(event: DiscordEvent) -> str:
    if event.message is not None:
        loading = "(thinking) " if event.message.is_loading else ""
        return f"{event.message.id} {loading}{event.message.text[:80]!r}, {len(event.message.attachments)} files"
    return event.interaction.name if event.interaction is not None else ""
