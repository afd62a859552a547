"""Discord's REST API: reads a request, asks the part it is for, writes the answer."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.sandbox.model import errors as refusals
from bot.sandbox.model.attachments import Upload
from bot.sandbox.model.clock import Clock
from bot.sandbox.model.commands import Commands
from bot.sandbox.model.errors import JSON, ApiError, FormErrors
from bot.sandbox.model.events import Events
from bot.sandbox.model.interactions import MODAL, Interaction, Interactions
from bot.sandbox.model.messages import Body, Message, Messages
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.schema import check_shapes
from bot.sandbox.model.world import Channel, Guild, World
from bot.sandbox.server.faults import Fault, Faults
from bot.sandbox.server.gateway import Gateway
from bot.sandbox.server.request_log import Journal, Request
from bot.sandbox.server.serializers import (
    application_json,
    channel_json,
    guild_json,
    member_json,
    own_user_json,
    role_json,
    user_json,
)

if TYPE_CHECKING:
    from bot.sandbox.server.openapi import OpenApi

PREFIX = "/api/v10"


@dataclass(frozen=True)
class Call:
    """One request, read: `ids` and `token` from its path, `query`, the JSON, and the files by number."""

    ids: Mapping[str, int]
    token: str
    query: Mapping[str, str]
    payload: Any
    files: Mapping[int, Upload]
    arrived: float

    @property
    def body(self) -> Body:
        return Body(self.payload if isinstance(self.payload, dict) else {}, self.files)


@dataclass(frozen=True)
class Received:
    """What a request brought: its JSON, its files by number, and whether the JSON could not be read."""

    payload: Any
    files: dict[int, Upload]
    is_broken: bool = False


Answer = tuple[int, Any]
Handler = Callable[["Rest", Call], Answer]


@dataclass(frozen=True)
class Route:
    method: str
    template: str
    handler: Handler
    needs_bot_token: bool
    pattern: re.Pattern[str]


_ROUTES: list[Route] = []


def _route(method: str, template: str, *, needs_bot_token: bool = True) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        pattern = re.sub(r"\{(\w*token)\}", r"(?P<\1>[^/]+)", template)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>\\d+)", pattern)
        _ROUTES.append(Route(method, template, handler, needs_bot_token, re.compile(pattern)))
        return handler

    return register


class Rest:
    """Everything under `/api/v10`."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        commands: Commands,
        messages: Messages,
        interactions: Interactions,
        gateway: Gateway,
        events: Events,
        faults: Faults,
        journal: Journal,
        openapi: OpenApi | None,
    ) -> None:
        self.world = world
        self.commands = commands
        self.messages = messages
        self.interactions = interactions
        self.gateway = gateway
        self.events = events
        self._clock = clock
        self._faults = faults
        self._journal = journal
        self._openapi = openapi

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answers one request, or does to it what a fault orders, and writes both into the journal."""
        arrived = time.perf_counter()
        path = request.path.removeprefix(PREFIX)
        received = await read_body(request)
        route, match = _find(request.method, path)
        template = route.template if route else path
        names = [upload.filename for upload in received.files.values()]
        fault = self._faults.strike(request.method, template, path, names)
        if fault is not None and fault.when == "before":
            await _wait_for(fault)
        answer: Answer | None = None
        if fault is None or fault.only_delays or fault.when == "after":
            answer = self._answer(request, route, match, received, arrived)
        if fault is not None and fault.when == "after":
            await _wait_for(fault)
        headers = _rate_limit_headers(template, self._clock.now())
        if fault is not None and not fault.only_delays:
            answer = None if fault.status is None else (fault.status, fault.body)
            headers |= fault.headers
        status, body = answer or (0, None)
        self._journal.add(
            Request(
                number=len(self._journal.requests) + 1,
                at=self._clock.now(),
                method=request.method,
                route=template,
                path=path,
                query=dict(request.query),
                body=received.payload,
                files=tuple((upload.filename, len(upload.data)) for upload in received.files.values()),
                status=status,
                answer=body,
                seconds=time.perf_counter() - arrived,
            )
        )
        if answer is None and request.transport is not None:
            request.transport.abort()
        return _written(status, body, headers)

    def _answer(
        self,
        request: web.Request,
        route: Route | None,
        match: re.Match[str] | None,
        received: Received,
        arrived: float,
    ) -> Answer:
        try:
            if route is None or match is None:
                path = request.path.removeprefix(PREFIX)
                if self._openapi is not None:
                    self._openapi.check_request(request.method, path, received.payload)
                known = any(r.pattern.fullmatch(path) for r in _ROUTES)
                raise ApiError(refusals.METHOD_NOT_ALLOWED if known else refusals.NOT_FOUND)
            if route.needs_bot_token and request.headers.get("Authorization") != f"Bot {self.world.application.token}":
                raise ApiError(refusals.UNAUTHORIZED)
            if received.is_broken:
                raise ApiError(refusals.INVALID_JSON)
            self._check_body(route, received.payload)
            ids = {name: int(text) for name, text in match.groupdict().items() if not name.endswith("token")}
            token = next((text for name, text in match.groupdict().items() if name.endswith("token")), "")
            call = Call(ids, token, request.query, received.payload, received.files, arrived)
            status, body = route.handler(self, call)
        except ApiError as error:
            status, body = error.refusal.status, error.as_json()
        if self._openapi is not None and route is not None:
            self._openapi.check_answer(request.method, route.template, status, body)
        return status, body

    def _check_body(self, route: Route, payload: Any) -> None:
        errors = FormErrors()
        if self._openapi is not None:
            for complaint in self._openapi.check_request(route.method, route.template, payload):
                errors.add(complaint.path, complaint.code, complaint.message)
            errors.raise_if_any()
        check_shapes(payload, errors)
        errors.raise_if_any()

    def channel(self, id: int) -> Channel:
        """The channel with this id, which the bot may see; raises ApiError otherwise."""
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


# The bot and its application


@_route("GET", "/users/@me")
def _own_user(rest: Rest, call: Call) -> Answer:
    return 200, own_user_json(rest.world.bot)


@_route("GET", "/oauth2/applications/@me")
@_route("GET", "/applications/@me")
def _application(rest: Rest, call: Call) -> Answer:
    joined = sum(rest.world.bot.id in guild.members for guild in rest.world.guilds.values())
    return 200, application_json(rest.world.application, joined)


@_route("GET", "/gateway", needs_bot_token=False)
def _gateway_address(rest: Rest, call: Call) -> Answer:
    return 200, {"url": rest.gateway.url}


@_route("GET", "/gateway/bot")
def _gateway_for_bot(rest: Rest, call: Call) -> Answer:
    limit = {"total": 1000, "remaining": 999, "reset_after": 86_400_000, "max_concurrency": 1}
    return 200, {"url": rest.gateway.url, "shards": 1, "session_start_limit": limit}


# Commands


def _scope(rest: Rest, call: Call) -> int | None:
    rest.check_application(call.ids["application_id"])
    return rest.guild(call.ids["guild_id"]).id if "guild_id" in call.ids else None


@_route("GET", "/applications/{application_id}/commands")
@_route("GET", "/applications/{application_id}/guilds/{guild_id}/commands")
def _list_commands(rest: Rest, call: Call) -> Answer:
    return 200, rest.commands.of(_scope(rest, call))


@_route("PUT", "/applications/{application_id}/commands")
@_route("PUT", "/applications/{application_id}/guilds/{guild_id}/commands")
def _sync_commands(rest: Rest, call: Call) -> Answer:
    return 200, rest.commands.overwrite(_scope(rest, call), call.payload)


@_route("POST", "/applications/{application_id}/commands")
@_route("POST", "/applications/{application_id}/guilds/{guild_id}/commands")
def _create_command(rest: Rest, call: Call) -> Answer:
    scope = _scope(rest, call)
    before = len(rest.commands.of(scope))
    command = rest.commands.upsert(scope, call.body.payload)
    return 201 if len(rest.commands.of(scope)) > before else 200, command


@_route("GET", "/applications/{application_id}/commands/{command_id}")
@_route("GET", "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}")
def _get_command(rest: Rest, call: Call) -> Answer:
    return 200, rest.commands.get(_scope(rest, call), call.ids["command_id"])


@_route("PATCH", "/applications/{application_id}/commands/{command_id}")
@_route("PATCH", "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}")
def _edit_command(rest: Rest, call: Call) -> Answer:
    return 200, rest.commands.update(_scope(rest, call), call.ids["command_id"], call.body.payload)


@_route("DELETE", "/applications/{application_id}/commands/{command_id}")
@_route("DELETE", "/applications/{application_id}/guilds/{guild_id}/commands/{command_id}")
def _delete_command(rest: Rest, call: Call) -> Answer:
    rest.commands.delete(_scope(rest, call), call.ids["command_id"])
    return 204, None


# Answers to interactions


@_route("POST", "/interactions/{interaction_id}/{interaction_token}/callback", needs_bot_token=False)
def _respond(rest: Rest, call: Call) -> Answer:
    callback = call.body.payload
    body = Body(callback.get("data") or {}, call.files)
    type = callback.get("type")
    interaction = rest.interactions.respond(call.ids["interaction_id"], call.token, type, body, call.arrived)
    if call.query.get("with_response", "").lower() not in ("1", "true"):
        return 204, None
    return 200, _callback_json(rest, interaction)


def _callback_json(rest: Rest, interaction: Interaction) -> JSON:
    assert interaction.callback is not None
    about: JSON = {"id": str(interaction.id), "type": interaction.type}
    answer: JSON = {"interaction": about}
    message = rest.messages.get(interaction.original_id) if interaction.original_id else None
    if message is not None and interaction.callback.type != MODAL:
        about |= {
            "response_message_id": str(message.id),
            "response_message_loading": message.is_loading,
            "response_message_ephemeral": message.is_ephemeral,
        }
        kind = 4 if interaction.callback.type in (4, 5) else 7
        answer["resource"] = {"type": kind, "message": rest.messages.as_json(message)}
    return answer


@_route("GET", "/webhooks/{webhook_id}/{webhook_token}/messages/@original", needs_bot_token=False)
@_route("GET", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", needs_bot_token=False)
def _get_answer(rest: Rest, call: Call) -> Answer:
    return 200, rest.messages.as_json(_answered(rest, call)[1])


@_route("PATCH", "/webhooks/{webhook_id}/{webhook_token}/messages/@original", needs_bot_token=False)
@_route("PATCH", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", needs_bot_token=False)
def _edit_answer(rest: Rest, call: Call) -> Answer:
    return 200, rest.messages.as_json(rest.messages.edit(_answered(rest, call)[1], call.body))


@_route("DELETE", "/webhooks/{webhook_id}/{webhook_token}/messages/@original", needs_bot_token=False)
@_route("DELETE", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", needs_bot_token=False)
def _delete_answer(rest: Rest, call: Call) -> Answer:
    rest.messages.delete(_answered(rest, call)[1])
    return 204, None


def _answered(rest: Rest, call: Call) -> tuple[Interaction, Message]:
    interaction = rest.interactions.with_token(call.ids["webhook_id"], call.token)
    return interaction, rest.interactions.message_of(interaction, call.ids.get("message_id"))


@_route("POST", "/webhooks/{webhook_id}/{webhook_token}", needs_bot_token=False)
def _follow_up(rest: Rest, call: Call) -> Answer:
    interaction = rest.interactions.with_token(call.ids["webhook_id"], call.token)
    return 200, rest.messages.as_json(rest.interactions.follow_up(interaction, call.body))


# Messages


@_route("GET", "/channels/{channel_id}/messages")
def _history(rest: Rest, call: Call) -> Answer:
    channel = rest.channel(call.ids["channel_id"])
    if not rest.world.permissions(rest.world.bot, channel) & Permissions.READ_MESSAGE_HISTORY:
        return 200, []
    messages = [message for message in rest.messages.in_channel(channel) if not message.is_ephemeral]
    limit = _whole_number(call, "limit", 50)
    if not 1 <= limit <= 100:
        errors = FormErrors()
        errors.add(("limit",), "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        errors.raise_if_any()
    if "around" in call.query:
        older = sum(message.id < _whole_number(call, "around") for message in messages)
        first = max(0, older - limit // 2)
        messages = messages[first : first + limit]
    elif "after" in call.query:
        messages = [message for message in messages if message.id > _whole_number(call, "after")][:limit]
    else:
        before = _whole_number(call, "before", 1 << 64)
        messages = [message for message in messages if message.id < before][-limit:]
    return 200, [rest.messages.as_json(message) for message in reversed(messages)]


def _whole_number(call: Call, key: str, otherwise: int = 0) -> int:
    text = call.query.get(key, str(otherwise))
    if not (text.isascii() and text.isdigit()):
        errors = FormErrors()
        errors.add((key,), "NUMBER_TYPE_COERCE", f"Value {text!r} is not int.")
        errors.raise_if_any()
    return int(text)


@_route("POST", "/channels/{channel_id}/messages")
def _create_message(rest: Rest, call: Call) -> Answer:
    channel = rest.channel(call.ids["channel_id"])
    if channel.is_private and any(user.id in rest.world.closed_to_dms for user in channel.recipients):
        raise ApiError(refusals.CANNOT_MESSAGE_USER)
    payload = call.body.payload
    sending = Permissions.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permissions.SEND_MESSAGES
    rest.require(channel, sending | _needed_for(call.body))
    message = rest.messages.create(channel, rest.world.bot, call.body, reply_to=_replied_to(rest, channel, payload))
    answer = rest.messages.as_json(message)
    return 200, answer | ({"nonce": message.nonce} if message.nonce is not None else {})


def _needed_for(body: Body) -> Permissions:
    needed = Permissions(0)
    if body.files:
        needed |= Permissions.ATTACH_FILES
    if body.payload.get("embeds"):
        needed |= Permissions.EMBED_LINKS
    return needed


def _replied_to(rest: Rest, channel: Channel, payload: JSON) -> Message | None:
    reference = payload.get("message_reference")
    if not isinstance(reference, dict):
        return None
    rest.require(channel, Permissions.READ_MESSAGE_HISTORY)
    message = rest.messages.get(int(reference.get("message_id") or 0))
    if message is not None and message.channel is channel:
        return message
    if reference.get("fail_if_not_exists", True):
        errors = FormErrors()
        errors.add(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        errors.raise_if_any()
    return None


@_route("GET", "/channels/{channel_id}/messages/{message_id}")
def _get_message(rest: Rest, call: Call) -> Answer:
    channel = rest.channel(call.ids["channel_id"])
    rest.require(channel, Permissions.READ_MESSAGE_HISTORY)
    return 200, rest.messages.as_json(rest.messages.require(channel, call.ids["message_id"]))


@_route("PATCH", "/channels/{channel_id}/messages/{message_id}")
def _edit_message(rest: Rest, call: Call) -> Answer:
    channel = rest.channel(call.ids["channel_id"])
    message = rest.messages.require(channel, call.ids["message_id"])
    if message.author != rest.world.bot:
        raise ApiError(refusals.NOT_THE_AUTHOR)
    rest.require(channel, _needed_for(call.body))
    return 200, rest.messages.as_json(rest.messages.edit(message, call.body))


@_route("DELETE", "/channels/{channel_id}/messages/{message_id}")
def _delete_message(rest: Rest, call: Call) -> Answer:
    channel = rest.channel(call.ids["channel_id"])
    message = rest.messages.require(channel, call.ids["message_id"])
    if message.author != rest.world.bot:
        rest.require(channel, Permissions.MANAGE_MESSAGES)
    rest.messages.delete(message)
    return 204, None


@_route("POST", "/channels/{channel_id}/typing")
def _typing(rest: Rest, call: Call) -> Answer:
    channel = rest.channel(call.ids["channel_id"])
    rest.require(channel, Permissions.SEND_MESSAGES)
    rest.events.emit("typing", {"channel_id": str(channel.id), "user_id": str(rest.world.bot.id)})
    return 204, None


# Channels, servers, users


@_route("GET", "/channels/{channel_id}")
def _get_channel(rest: Rest, call: Call) -> Answer:
    channel = rest.channel(call.ids["channel_id"])
    messages = rest.messages.in_channel(channel)
    return 200, channel_json(channel, messages[-1].id if messages else None)


@_route("POST", "/users/@me/channels")
def _open_dm(rest: Rest, call: Call) -> Answer:
    user = rest.world.users.get(int(call.body.payload.get("recipient_id") or 0))
    if user is None:
        raise ApiError(refusals.UNKNOWN_USER)
    if user.is_bot:
        raise ApiError(refusals.CANNOT_MESSAGE_USER)
    return 200, channel_json(rest.world.dm_with(user))


@_route("GET", "/users/{user_id}")
def _get_user(rest: Rest, call: Call) -> Answer:
    user = rest.world.users.get(call.ids["user_id"])
    if user is None:
        raise ApiError(refusals.UNKNOWN_USER)
    return 200, user_json(user)


@_route("GET", "/guilds/{guild_id}")
def _get_guild(rest: Rest, call: Call) -> Answer:
    guild = rest.guild(call.ids["guild_id"])
    counted = call.query.get("with_counts", "").lower() in ("1", "true")
    counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
    return 200, guild_json(guild) | (counts if counted else {})


@_route("GET", "/guilds/{guild_id}/channels")
def _get_channels(rest: Rest, call: Call) -> Answer:
    guild = rest.guild(call.ids["guild_id"])
    return 200, [channel_json(channel) for channel in guild.channels if not channel.is_thread]


@_route("GET", "/guilds/{guild_id}/roles")
def _get_roles(rest: Rest, call: Call) -> Answer:
    return 200, [role_json(role) for role in rest.guild(call.ids["guild_id"]).roles]


@_route("GET", "/guilds/{guild_id}/members/{user_id}")
def _get_member(rest: Rest, call: Call) -> Answer:
    member = rest.guild(call.ids["guild_id"]).members.get(call.ids["user_id"])
    if member is None:
        raise ApiError(refusals.UNKNOWN_MEMBER)
    return 200, member_json(member)


# Reading requests and writing answers


async def read_body(request: web.Request) -> Received:
    """The JSON of a request and its files, from a body of JSON or of several parts (`payload_json`, `files[n]`)."""
    files: dict[int, Upload] = {}
    text = b""
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            data = bytes(await part.read())  # type: ignore[union-attr]
            number = re.fullmatch(r"files\[(\d+)\]", part.name or "")  # type: ignore[union-attr]
            if number is not None:
                files[int(number[1])] = Upload(part.filename or "unknown", data)  # type: ignore[union-attr]
            elif part.name == "payload_json":  # type: ignore[union-attr]
                text = data
    else:
        text = await request.read()
    if not text:
        return Received(None, files)
    try:
        is_json = request.content_type in ("application/json", "multipart/form-data")
        return Received(json.loads(text), files, is_broken=not is_json)
    except ValueError:
        return Received(None, files, is_broken=True)


def _find(method: str, path: str) -> tuple[Route | None, re.Match[str] | None]:
    for route in _ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match
    return None, None


async def _wait_for(fault: Fault) -> None:
    if fault.released is not None:
        await fault.released.wait()
    await asyncio.sleep(fault.delay)


def _rate_limit_headers(template: str, now: float) -> dict[str, str]:
    """The headers of a bucket that is never empty; a test orders a real rate limit from `Faults`."""
    if template.startswith("/interactions/"):
        return {}
    return {
        "X-RateLimit-Limit": "1000",
        "X-RateLimit-Remaining": "999",
        "X-RateLimit-Reset": f"{now + 1:.3f}",
        "X-RateLimit-Reset-After": "1.000",
        "X-RateLimit-Bucket": re.sub(r"\W+", "-", template).strip("-"),
    }


def _written(status: int, body: Any, headers: Mapping[str, str]) -> web.Response:
    # The content type is exactly "application/json": discord.py does not decode it with a charset behind.
    if body is None:
        return web.Response(status=status or 500, headers=headers)
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers={"Content-Type": "text/html"} | dict(headers))
    encoded = json.dumps(body, separators=(",", ":")).encode()
    return web.Response(status=status, body=encoded, headers={"Content-Type": "application/json"} | dict(headers))
