"""Routes that read, post, edit and delete messages of channels."""

from __future__ import annotations

from bot.sandbox.model import errors as refusals
from bot.sandbox.model.errors import JSON, ApiError, FormErrors
from bot.sandbox.model.messages import Body, Message
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.world import Channel
from bot.sandbox.server.requests import ApiCall
from bot.sandbox.server.routing import Answer, ApiContext, RouteTable

ROUTES = RouteTable()


@ROUTES.add("GET", "/channels/{channel_id}/messages")
def _history(api: ApiContext, call: ApiCall) -> Answer:
    channel = api.channel(call.ids["channel_id"])
    if not api.world.permissions(api.world.bot, channel) & Permissions.READ_MESSAGE_HISTORY:
        return 200, []
    messages = [message for message in api.messages.in_channel(channel) if not message.is_ephemeral]
    limit = _integer(call, "limit", 50)
    if not 1 <= limit <= 100:
        errors = FormErrors()
        errors.add(("limit",), "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        errors.raise_if_any()
    if "around" in call.query:
        older = sum(message.id < _integer(call, "around") for message in messages)
        first = max(0, older - limit // 2)
        messages = messages[first : first + limit]
    elif "after" in call.query:
        messages = [message for message in messages if message.id > _integer(call, "after")][:limit]
    else:
        before = _integer(call, "before", 1 << 64)
        messages = [message for message in messages if message.id < before][-limit:]
    return 200, [api.messages.as_json(message) for message in reversed(messages)]


def _integer(call: ApiCall, key: str, otherwise: int = 0) -> int:
    text = call.query.get(key, str(otherwise))
    if not (text.isascii() and text.isdigit()):
        errors = FormErrors()
        errors.add((key,), "NUMBER_TYPE_COERCE", f"Value {text!r} is not int.")
        errors.raise_if_any()
    return int(text)


@ROUTES.add("POST", "/channels/{channel_id}/messages")
def _create_message(api: ApiContext, call: ApiCall) -> Answer:
    channel = api.channel(call.ids["channel_id"])
    if channel.is_private and any(user.id in api.world.closed_to_dms for user in channel.recipients):
        raise ApiError(refusals.CANNOT_MESSAGE_USER)
    payload = call.body.payload
    sending = Permissions.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permissions.SEND_MESSAGES
    api.require(channel, sending | _required_permissions(call.body))
    message = api.messages.create(channel, api.world.bot, call.body, reply_to=_replied_message(api, channel, payload))
    answer = api.messages.as_json(message)
    return 200, answer | ({"nonce": message.nonce} if message.nonce is not None else {})


def _required_permissions(body: Body) -> Permissions:
    needed = Permissions(0)
    if body.files:
        needed |= Permissions.ATTACH_FILES
    if body.payload.get("embeds"):
        needed |= Permissions.EMBED_LINKS
    return needed


def _replied_message(api: ApiContext, channel: Channel, payload: JSON) -> Message | None:
    reference = payload.get("message_reference")
    if not isinstance(reference, dict):
        return None
    api.require(channel, Permissions.READ_MESSAGE_HISTORY)
    message = api.messages.get(int(reference.get("message_id") or 0))
    if message is not None and message.channel is channel:
        return message
    if reference.get("fail_if_not_exists", True):
        errors = FormErrors()
        errors.add(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        errors.raise_if_any()
    return None


@ROUTES.add("GET", "/channels/{channel_id}/messages/{message_id}")
def _get_message(api: ApiContext, call: ApiCall) -> Answer:
    channel = api.channel(call.ids["channel_id"])
    api.require(channel, Permissions.READ_MESSAGE_HISTORY)
    return 200, api.messages.as_json(api.messages.require(channel, call.ids["message_id"]))


@ROUTES.add("PATCH", "/channels/{channel_id}/messages/{message_id}")
def _edit_message(api: ApiContext, call: ApiCall) -> Answer:
    channel = api.channel(call.ids["channel_id"])
    message = api.messages.require(channel, call.ids["message_id"])
    if message.author != api.world.bot:
        raise ApiError(refusals.NOT_THE_AUTHOR)
    api.require(channel, _required_permissions(call.body))
    return 200, api.messages.as_json(api.messages.edit(message, call.body))


@ROUTES.add("DELETE", "/channels/{channel_id}/messages/{message_id}")
def _delete_message(api: ApiContext, call: ApiCall) -> Answer:
    channel = api.channel(call.ids["channel_id"])
    message = api.messages.require(channel, call.ids["message_id"])
    if message.author != api.world.bot:
        api.require(channel, Permissions.MANAGE_MESSAGES)
    api.messages.delete(message)
    return 204, None


@ROUTES.add("POST", "/channels/{channel_id}/typing")
def _typing(api: ApiContext, call: ApiCall) -> Answer:
    channel = api.channel(call.ids["channel_id"])
    api.require(channel, Permissions.SEND_MESSAGES)
    api.events.emit("typing", {"channel_id": str(channel.id), "user_id": str(api.world.bot.id)})
    return 204, None
