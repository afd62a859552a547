"""The requests of the page, each on behalf of one user: `/sandbox/as/{user}/…`.

What a user may see is decided here; what a user may do is decided by the stand-in, as Discord's client does it. A
refusal is answered 422 with the sentence for the person who reads it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.sandbox.client_errors import ClientRefused, ImpossibleAction, message_deleted
from bot.sandbox.model import commands as slash
from bot.sandbox.model.attachments import Upload
from bot.sandbox.model.errors import JSON, ApiError
from bot.sandbox.model.interactions import MODAL, DiscordEvent
from bot.sandbox.model.messages import Message
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.serializers import channel_json, role_json, user_json
from bot.sandbox.model.world import DM, Channel, Guild, Role, User
from bot.sandbox.page_server.catalogs import page_catalog
from bot.sandbox.server.requests import RequestBody, read_body
from bot.sandbox.user_client import ClientModal
from bot.text.languages import LANGUAGES

if TYPE_CHECKING:
    from bot.sandbox.fake_discord import FakeDiscord

#: How many messages of a channel the page gets; older ones are not shown.
MAX_SHOWN = 200

Answer = Callable[["PageApi", User, web.Request, RequestBody], Awaitable[Any]]

#: The kinds of events after which the page reloads the view and the commands.
RELOADING_EVENTS = {
    *("channel_update", "channel_delete", "guild_delete", "commands_update", "gateway_ready", "gateway_resumed"),
    "gateway_closed",
}


def add_routes(application: web.Application, discord: FakeDiscord, examples: Sequence[str]) -> None:
    """Adds everything under `/sandbox`."""
    api = PageApi(discord, examples)
    router = application.router
    user, channel, message = r"/sandbox/as/{user:\d+}", r"/channels/{channel:\d+}", r"/messages/{message:\d+}"
    router.add_get("/sandbox/people", api.people)
    router.add_get(user + "/events", api.events)
    for method, path, answer in (
        ("GET", "/view", _view),
        ("PUT", "/language", _choose_language),
        ("DELETE", "/messages", _start_over),
        ("GET", channel + "/messages", _messages),
        ("GET", channel + "/commands", _commands),
        ("POST", channel + "/messages", _say),
        ("POST", channel + "/slash", _slash),
        ("POST", channel + "/autocomplete", _autocomplete),
        ("POST", channel + "/user-menu", _user_menu),
        ("POST", message + "/menu", _message_menu),
        ("POST", message + "/press", _press),
        ("POST", message + "/choose", _choose),
        ("DELETE", message, _delete),
        ("POST", r"/modals/{interaction:\d+}", _submit),
    ):
        router.add_route(method, user + path, api.handler_of(answer))


class PageApi:
    def __init__(self, discord: FakeDiscord, examples: Sequence[str]) -> None:
        self.discord = discord
        self.examples = examples
        #: Lets the page notice that the stand-in was restarted.
        self.instance = secrets.token_hex(8)

    async def people(self, _: web.Request) -> web.Response:
        """The users that a person can act as in the page."""
        world = self.discord.world
        people = [user_json(user) | self._standing(user) for user in world.users.values() if not user.is_bot]
        languages = [{"code": language.code, "name": language.name} for language in LANGUAGES.values()]
        return web.json_response({"people": people, "languages": languages})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The events that this user can notice, as server-sent events; `?after=` says where to continue."""
        user = self.user(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)

        async def write(kind: str, data: JSON) -> None:
            await response.write(f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode())

        try:
            await write("hello", {"instance": self.instance})
            async for event in self.discord.events.stream(int(request.query.get("after", 0))):
                if (seen := self._visible_data(user, event)) is not None:
                    await write("happened", {"number": event.number, "kind": event.kind, "data": seen})
        except ConnectionError:
            pass  # the page was closed
        return response

    def handler_of(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that reads the request, has it answered on behalf of its user, and words refusals."""

        async def handle(request: web.Request) -> web.Response:
            user, received = self.user(request), await read_body(request)
            if received.is_broken or not isinstance(received.payload, dict | None):
                return web.json_response({"refused": "This request does not come from the page."}, status=400)
            try:
                return web.json_response(await answer(self, user, request, received))
            except ClientRefused as error:
                said = page_catalog(user.locale).say(error.sentence, **error.values)
                return web.json_response({"refused": said}, status=422)
            except ApiError as error:
                return web.json_response({"refused": _error_text(error)}, status=422)

        return handle

    def user(self, request: web.Request) -> User:
        user = self.discord.world.users.get(int(request.match_info["user"]))
        if user is None or user.is_bot:
            raise web.HTTPNotFound(text="There is no such user.")
        return user

    def channel(self, user: User, request: web.Request) -> Channel:
        """The channel of the request, which the user must be able to see."""
        channel = self.discord.world.channel(int(request.match_info["channel"]))
        if channel is None or not self.discord.world.can_see(user, channel):
            raise web.HTTPNotFound(text="There is no such channel.")
        return channel

    def message(self, request: web.Request) -> Message:
        message = self.discord.messages.get(int(request.match_info["message"]))
        if message is None:
            raise message_deleted()
        return message

    def message_json(self, message: Message) -> JSON:
        """A message as Discord writes it, and what else the client knows: by which command it came."""
        written = self.discord.messages.as_json(message)
        metadata = message.interaction_metadata or {}
        interaction = self.discord.interactions.get(int(metadata.get("id", 0)))
        command = interaction.command if interaction is not None else None
        return written | {"visible_to": str(message.visible_to.id) if message.visible_to else None, "command": command}

    def values(self, given: object, received: RequestBody) -> dict[str, object]:
        """Options or fields as the page writes them, with the users, roles, channels and files they name."""
        if not isinstance(given, dict):
            return {}
        return {str(name): self.value(value, received) for name, value in given.items()}

    def value(self, given: object, received: RequestBody) -> object:
        if isinstance(given, list):
            return [self.value(item, received) for item in given]
        if not isinstance(given, dict):
            return given
        kind, name = next(iter(given.items()), ("nothing", 0))
        found = self._named(kind, int(name) if str(name).isdecimal() else -1, received)
        if found is None:
            raise ImpossibleAction("There is no {kind} {name}.", kind=kind, name=name)
        return found

    def _named(self, kind: str, id: int, received: RequestBody) -> User | Role | Channel | Upload | None:
        world = self.discord.world
        if kind == "user":
            return world.users.get(id)
        if kind == "channel":
            return world.channel(id)
        if kind == "role":
            return next((role for guild in world.guilds.values() for role in guild.roles if role.id == id), None)
        return received.files.get(id) if kind == "file" else None

    def _standing(self, user: User) -> JSON:
        """Who the user is in the first server."""
        guild = self.discord.world.guild
        member = guild.members.get(user.id)
        return {
            "is_owner": user == guild.owner,
            "is_member": member is not None,
            "roles": [role.name for role in member.roles] if member is not None else [],
        }

    def _visible_data(self, user: User, event: DiscordEvent) -> JSON | None:
        """The event as the client of `user` gets it; None if the client does not get it."""
        world = self.discord.world
        if event.message is not None:
            hidden = event.message.visible_to not in (None, user) or not world.can_see(user, event.message.channel)
            return None if hidden else event.data | {"command": self.message_json(event.message)["command"]}
        if event.interaction is not None:
            if event.interaction.user != user:
                return None
            is_modal = event.data.get("callback_type") == MODAL
            return event.data | ({"modal": self._modal_json(event)} if is_modal else {})
        if event.kind == "typing":
            channel = world.channel(int(event.data["channel_id"]))
            return event.data if channel is not None and world.can_see(user, channel) else None
        return {} if event.kind in RELOADING_EVENTS else None

    def _modal_json(self, event: DiscordEvent) -> JSON:
        assert event.interaction is not None
        modal = ClientModal.of(event.interaction)
        return {"title": modal.title, "custom_id": modal.custom_id, "components": list(modal.components)}


# What there is


async def _view(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    """Everything but messages and commands that the client of `user` shows, as of event number `last_event`."""
    world = api.discord.world
    api.discord.dm(user)  # the page always offers it

    def channel(one: Channel) -> JSON:
        allowed = world.permissions(user, one)
        writing = Permissions.SEND_MESSAGES_IN_THREADS if one.is_thread else Permissions.SEND_MESSAGES
        return channel_json(one) | {
            "may_write": bool(allowed & writing),
            "may_manage_messages": bool(allowed & Permissions.MANAGE_MESSAGES) and one.guild is not None,
            "nsfw": (one.parent or one).nsfw,
            "member_ids": [str(id) for id in _member_ids(api, one)],
        }

    def guild(one: Guild) -> JSON:
        seen = [channel(c) for c in one.channels if world.can_see(user, c)]
        members = {str(m.user.id): [str(role.id) for role in m.roles] for m in one.members.values()}
        roles = [role_json(role) for role in one.roles]
        about: JSON = {"id": str(one.id), "name": one.name, "owner_id": str(one.owner.id), "roles": roles}
        return about | {"members": members, "channels": seen}

    return {
        "instance": api.instance,
        "last_event": len(api.discord.events.history),
        "me": user_json(user) | {"locale": user.locale, "upload_limit": user.upload_limit},
        "bot_id": str(world.bot.id),
        "examples": list(api.examples),
        "bot_is_connected": api.discord.gateway.is_connected,
        "users": [user_json(one) for one in world.users.values()],
        "guilds": [guild(one) for one in world.guilds.values() if user.id in one.members],
        "private_channels": [channel(c) for c in world.private_channels.values() if user in c.recipients],
    }


def _member_ids(api: PageApi, channel: Channel) -> list[int]:
    if channel.guild is not None:
        return [id for id, member in channel.guild.members.items() if api.discord.world.can_see(member.user, channel)]
    with_bot = [api.discord.world.bot.id] if channel.type == DM else []
    return [user.id for user in channel.recipients] + with_bot


async def _choose_language(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    locale = str((received.payload or {}).get("locale"))
    if locale not in LANGUAGES:
        raise ImpossibleAction("There is no language {locale}.", locale=locale)
    user.locale = locale
    return {}


async def _start_over(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    api.discord.delete_all_messages()
    return {}


async def _messages(api: PageApi, user: User, request: web.Request, received: RequestBody) -> list[JSON]:
    """The messages of a channel that `user` sees, oldest first."""
    messages = api.discord.messages_in(api.channel(user, request), user)
    return [api.message_json(message) for message in messages[-MAX_SHOWN:]]


async def _commands(api: PageApi, user: User, request: web.Request, received: RequestBody) -> list[JSON]:
    """The commands that `user` is offered in a channel, each subcommand by itself, worded in the user's language."""
    offered = api.discord.client.visible_commands(user, api.channel(user, request))
    found = []
    for name, command, trail in slash.slash_names(offered):
        words = [_localised(level, "name", user.locale) for level in (command, *trail)]
        last = trail[-1] if trail else command
        options = [_option_json(option, user.locale) for option in last.get("options") or []]
        description = _localised(last, "description", user.locale)
        found.append(
            {
                "type": slash.SLASH,
                "name": name,
                "shown": " ".join(words),
                "description": description,
                "options": options,
            }
        )
    for command in offered:
        if command["type"] != slash.SLASH:
            shown = _localised(command, "name", user.locale)
            found.append({"type": command["type"], "name": command["name"], "shown": shown})
    return found


def _option_json(option: JSON, locale: str) -> JSON:
    shown = {"shown": _localised(option, "name", locale), "description": _localised(option, "description", locale)}
    choices = [choice | {"shown": _localised(choice, "name", locale)} for choice in option.get("choices") or []]
    return option | shown | {"choices": choices}


def _localised(item: JSON, key: str, locale: str) -> str:
    return str((item.get(f"{key}_localizations") or {}).get(locale) or item.get(key) or "")


# What users do


async def _say(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    content = str((received.payload or {}).get("content") or "")
    files = [upload for _, upload in sorted(received.files.items())]
    message = await api.discord.say(user, api.channel(user, request), content, files)
    return {"message": str(message.id)}


async def _slash(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    asked = received.payload or {}
    options = api.values(asked.get("options"), received)
    sent = await api.discord.slash(user, api.channel(user, request), str(asked.get("command")), options)
    return {"interaction": str(sent.id)}


async def _autocomplete(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    asked = received.payload or {}
    command, option, typed = (str(asked.get(key) or "") for key in ("command", "option", "typed"))
    others = api.values(asked.get("options"), received)
    channel = api.channel(user, request)
    sent = await api.discord.type_into(user, channel, command, option, typed, others)
    if await sent.failed():
        raise ClientRefused("Loading options failed.")
    return {"choices": [{"name": choice.name, "value": choice.value} for choice in await sent.choices()]}


async def _user_menu(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    asked = received.payload or {}
    target = api.value({"user": asked.get("user")}, received)
    assert isinstance(target, User)
    sent = await api.discord.menu(user, target, str(asked.get("command")), api.channel(user, request))
    return {"interaction": str(sent.id)}


async def _message_menu(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    sent = await api.discord.menu(user, api.message(request), str((received.payload or {}).get("command")))
    return {"interaction": str(sent.id)}


async def _press(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    custom_id = str((received.payload or {}).get("custom_id"))
    return {"interaction": str((await api.discord.press(user, api.message(request), custom_id=custom_id)).id)}


async def _choose(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    asked = received.payload or {}
    values = api.value(asked.get("values") or [], received)
    assert isinstance(values, list)
    sent = await api.discord.choose(user, api.message(request), str(asked.get("custom_id")), values)
    return {"interaction": str(sent.id)}


async def _delete(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    api.discord.delete(user, api.message(request))
    return {}


async def _submit(api: PageApi, user: User, request: web.Request, received: RequestBody) -> JSON:
    interaction = api.discord.interactions.get(int(request.match_info["interaction"]))
    if interaction is None or interaction.callback is None or interaction.callback.type != MODAL:
        raise ClientRefused("That form is not open.")
    values = api.values((received.payload or {}).get("values"), received)
    sent = await api.discord.submit(user, ClientModal.of(interaction), values)
    return {"interaction": str(sent.id)}


def _error_text(error: ApiError) -> str:
    """The complaints of the API as one text."""

    def complaints(tree: Mapping[str, Any]) -> list[str]:
        own = [str(each["message"]) for each in tree.get("_errors", [])]
        return own + [text for key, inner in tree.items() if key != "_errors" for text in complaints(inner)]

    return " ".join(complaints(error.errors or {})) or error.refusal.message
