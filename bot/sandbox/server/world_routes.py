"""Routes about the application, the gateway's URL, channels, servers and users."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from bot.sandbox.model import errors as refusals
from bot.sandbox.model.errors import ApiError
from bot.sandbox.model.serializers import (
    application_json,
    channel_json,
    guild_json,
    member_json,
    own_guild_json,
    own_user_json,
    role_json,
    user_json,
)
from bot.sandbox.server.requests import ApiCall
from bot.sandbox.server.routing import Answer, ApiContext, RouteTable

ROUTES = RouteTable()


@ROUTES.add("GET", "/users/@me")
def _own_user(api: ApiContext, call: ApiCall) -> Answer:
    return 200, own_user_json(api.world.bot)


@ROUTES.add("GET", "/oauth2/applications/@me")
@ROUTES.add("GET", "/applications/@me")
def _application(api: ApiContext, call: ApiCall) -> Answer:
    joined = sum(api.world.bot.id in guild.members for guild in api.world.guilds.values())
    return 200, application_json(api.world.application, joined)


@ROUTES.add("GET", "/gateway", needs_bot_token=False)
def _gateway_address(api: ApiContext, call: ApiCall) -> Answer:
    return 200, {"url": api.gateway.url}


@ROUTES.add("GET", "/gateway/bot")
def _gateway_for_bot(api: ApiContext, call: ApiCall) -> Answer:
    gateway = api.gateway
    limit = gateway.identify_limiter.as_json()
    return 200, {"url": gateway.url, "shards": gateway.sharding.shards, "session_start_limit": limit}


@ROUTES.add("GET", "/users/@me/guilds")
def _own_guilds(api: ApiContext, call: ApiCall) -> Answer:
    """Sorted by id. With `before`, returns the last ones before that id, as Discord does."""
    limit, counted = int(call.query.get("limit", 200)), call.query.get("with_counts", "").lower() in ("1", "true")
    joined = sorted(id for id, guild in api.world.guilds.items() if api.world.bot.id in guild.members)
    begin = bisect_right(joined, int(call.query.get("after", 0)))
    end = bisect_left(joined, int(call.query.get("before", 1 << 64)))
    ids = joined[begin:end]
    ids = ids[-limit:] if "before" in call.query else ids[:limit]
    return 200, [own_guild_json(api.world.guilds[id], api.world.bot, counted=counted) for id in ids]


@ROUTES.add("GET", "/channels/{channel_id}")
def _get_channel(api: ApiContext, call: ApiCall) -> Answer:
    channel = api.channel(call.ids["channel_id"])
    messages = api.messages.in_channel(channel)
    return 200, channel_json(channel, messages[-1].id if messages else None)


@ROUTES.add("POST", "/users/@me/channels")
def _open_dm(api: ApiContext, call: ApiCall) -> Answer:
    user = api.world.users.get(int(call.body.payload.get("recipient_id") or 0))
    if user is None:
        raise ApiError(refusals.UNKNOWN_USER)
    if user.is_bot:
        raise ApiError(refusals.CANNOT_MESSAGE_USER)
    return 200, channel_json(api.world.dm_with(user))


@ROUTES.add("GET", "/users/{user_id}")
def _get_user(api: ApiContext, call: ApiCall) -> Answer:
    user = api.world.users.get(call.ids["user_id"])
    if user is None:
        raise ApiError(refusals.UNKNOWN_USER)
    return 200, user_json(user)


@ROUTES.add("GET", "/guilds/{guild_id}")
def _get_guild(api: ApiContext, call: ApiCall) -> Answer:
    guild = api.guild(call.ids["guild_id"])
    counted = call.query.get("with_counts", "").lower() in ("1", "true")
    counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
    return 200, guild_json(guild) | (counts if counted else {})


@ROUTES.add("DELETE", "/users/@me/guilds/{guild_id}")
def _leave_guild(api: ApiContext, call: ApiCall) -> Answer:
    guild = api.guild(call.ids["guild_id"])
    del guild.members[api.world.bot.id]
    api.events.emit("guild_delete", {"id": str(guild.id)})
    return 204, None


@ROUTES.add("GET", "/guilds/{guild_id}/channels")
def _get_channels(api: ApiContext, call: ApiCall) -> Answer:
    guild = api.guild(call.ids["guild_id"])
    return 200, [channel_json(channel) for channel in guild.channels if not channel.is_thread]


@ROUTES.add("GET", "/guilds/{guild_id}/roles")
def _get_roles(api: ApiContext, call: ApiCall) -> Answer:
    return 200, [role_json(role) for role in api.guild(call.ids["guild_id"]).roles]


@ROUTES.add("GET", "/guilds/{guild_id}/members/{user_id}")
def _get_member(api: ApiContext, call: ApiCall) -> Answer:
    member = api.guild(call.ids["guild_id"]).members.get(call.ids["user_id"])
    if member is None:
        raise ApiError(refusals.UNKNOWN_MEMBER)
    return 200, member_json(member)
