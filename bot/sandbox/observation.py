"""The state of the stand-in over HTTP, for a page that looks like Discord: two GETs and a stream of events."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from bot.sandbox.commands import Commands
from bot.sandbox.errors import JSON
from bot.sandbox.events import Events
from bot.sandbox.messages import Messages
from bot.sandbox.wire import channel_json, role_json, user_json
from bot.sandbox.world import Channel, World


def add_routes(
    application: web.Application, world: World, commands: Commands, messages: Messages, events: Events
) -> None:
    """Adds `GET /sandbox/world`, `GET /sandbox/channels/{id}/messages` and `GET /sandbox/events`.

    The last is a stream of server-sent events; `Last-Event-ID` or `?after=` says where to go on.
    """

    async def show_world(_: web.Request) -> web.Response:
        return web.json_response(_world_json(world, commands, events))

    async def show_messages(request: web.Request) -> web.Response:
        channel = world.channel(int(request.match_info["id"]))
        if channel is None:
            raise web.HTTPNotFound(text="There is no such channel.")
        shown = []
        for message in messages.in_channel(channel):
            visible_to = str(message.visible_to.id) if message.visible_to else None
            shown.append(messages.as_json(message) | {"visible_to": visible_to})
        return web.json_response(shown)

    async def stream_events(request: web.Request) -> web.StreamResponse:
        after = int(request.headers.get("Last-Event-ID") or request.query.get("after") or 0)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        try:
            async for event in events.stream(after):
                text = json.dumps(event.as_json(), separators=(",", ":"))
                await response.write(f"id: {event.number}\nevent: {event.kind}\ndata: {text}\n\n".encode())
        except ConnectionError:
            pass  # the page was closed
        return response

    application.router.add_get("/sandbox/world", show_world)
    application.router.add_get(r"/sandbox/channels/{id:\d+}/messages", show_messages)
    application.router.add_get("/sandbox/events", stream_events)


def _world_json(world: World, commands: Commands, events: Events) -> JSON:
    """Everyone and everything, and the number of the last event it takes into account."""

    def channel(one: Channel) -> JSON:
        seen_by = [str(user.id) for user in world.users.values() if world.permissions(user, one)]
        return channel_json(one) | {"seen_by": seen_by}

    guilds: list[Any] = [
        {
            "id": str(guild.id),
            "name": guild.name,
            "owner_id": str(guild.owner.id),
            "roles": [role_json(role) for role in guild.roles],
            "member_ids": [str(id) for id in guild.members],
            "channels": [channel(one) for one in guild.channels],
            "commands": commands.visible_in(guild.id),
        }
        for guild in world.guilds.values()
    ]
    return {
        "last_event": len(events.history),
        "application_id": str(world.application.id),
        "users": [user_json(user) for user in world.users.values()],
        "guilds": guilds,
        "private_channels": [channel(one) for one in world.private_channels.values()],
        "commands": commands.visible_in(None),
    }
