"""The gateway: the websocket that sends events to the bot, with resumable sessions.

Source: "Gateway" in Discord's API reference.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from bot.sandbox.model.clock import Clock, Snowflakes
from bot.sandbox.model.errors import JSON
from bot.sandbox.model.interactions import DiscordEvent, DiscordEvents
from bot.sandbox.model.serializers import guild_create_json, member_json, own_user_json
from bot.sandbox.model.world import Guild, World
from bot.sandbox.server.limits.sharding import IdentifyLimiter, Sharding, shard_of

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, VOICE_STATE, RESUME = 0, 1, 2, 3, 4, 6
RECONNECT, REQUEST_MEMBERS, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 7, 8, 9, 10, 11

UNKNOWN_ERROR, UNKNOWN_OPCODE, DECODE_ERROR, NOT_AUTHENTICATED, AUTHENTICATION_FAILED = 4000, 4001, 4002, 4003, 4004
ALREADY_AUTHENTICATED, INVALID_SHARD, SHARDING_REQUIRED, DISALLOWED_INTENTS = 4005, 4010, 4011, 4014

GUILDS, GUILD_MEMBERS, GUILD_MODERATION, GUILD_PRESENCES = 1 << 0, 1 << 1, 1 << 2, 1 << 8
GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 9, 1 << 12, 1 << 15
PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT

#: Milliseconds.
HEARTBEAT_INTERVAL = 41_250
#: Seconds until a heartbeat is answered. discord.py records the time of a heartbeat after sending it. An earlier answer
#: would be measured from the previous heartbeat, and discord.py would warn about a slow connection.
HEARTBEAT_ACK_DELAY = 0.05


class Connection:
    """One websocket. Writes messages in order, compressed if the client asked for it."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self._request = request
        compression = request.query.get("compress")
        self._compressor = zlib.compressobj() if compression == "zlib-stream" else None
        self._outbox: asyncio.Queue[JSON | int] = asyncio.Queue()
        self._writer = asyncio.create_task(self._write(), name="gateway writer")

    def send(self, op: int, data: object = None, *, sequence: int | None = None, event: str | None = None) -> None:
        self._outbox.put_nowait({"op": op, "d": data, "s": sequence, "t": event})

    def close(self, code: int) -> None:
        """Closes the connection once everything queued before is written."""
        self._outbox.put_nowait(code)

    def cut(self) -> None:
        """Aborts the connection without a close frame, as if a cable broke."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def finish(self) -> None:
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            item = await self._outbox.get()
            try:
                if isinstance(item, int):
                    await self.socket.close(code=item)
                    return
                text = json.dumps(item, separators=(",", ":"))
                if self._compressor is None:
                    await self.socket.send_str(text)
                else:
                    flushed = self._compressor.compress(text.encode()) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
                    await self.socket.send_bytes(flushed)
            except ConnectionError:
                return


@dataclass(eq=False)
class Session:
    """A session started by one IDENTIFY. Keeps its events, so that a later connection can replay missed ones."""

    id: str
    intents: int
    #: The number of its shard, and the number of shards.
    shard: tuple[int, int] = (0, 1)
    events: list[tuple[str, JSON]] = field(default_factory=list)
    connection: Connection | None = None

    def hears_of(self, guild_id: int | None) -> bool:
        """Whether this session gets the events of a server; None stands for private messages."""
        return shard_of(guild_id, self.shard[1]) == self.shard[0]

    def dispatch(self, event: str, data: JSON) -> None:
        self.events.append((event, data))
        if self.connection is not None:
            self.connection.send(DISPATCH, data, sequence=len(self.events), event=event)

    def replay(self, after: int) -> None:
        assert self.connection is not None
        for sequence, (event, data) in enumerate(self.events[after:], start=after + 1):
            self.connection.send(DISPATCH, data, sequence=sequence, event=event)


class Gateway:
    """Serves the websocket and dispatches events to the sessions, each of which may be a shard."""

    def __init__(
        self, world: World, clock: Clock, snowflakes: Snowflakes, events: DiscordEvents, sharding: Sharding
    ) -> None:
        self._world = world
        self._snowflakes = snowflakes
        self._events = events
        self.sharding = sharding
        self.identify_limiter = IdentifyLimiter(sharding, clock)
        self._sessions: dict[str, Session] = {}
        self._connections: set[Connection] = set()
        self.url = ""
        #: While True, new connections are answered with 503.
        self.refuses_connections = False
        #: The close code sent to clients that identify; None: accept them.
        self.refuses_identifying_with: int | None = None
        self.allowed_privileged_intents = 0
        self.heartbeats = 0
        events.listen(self._forward)

    @property
    def is_connected(self) -> bool:
        """Whether a bot has identified and is connected."""
        return any(session.connection is not None for session in self._sessions.values())

    @property
    def shards(self) -> list[tuple[int, int]]:
        """The connected shards, each as its number and the number of shards."""
        return sorted(session.shard for session in self._sessions.values() if session.connection is not None)

    @property
    def intents(self) -> set[int]:
        """The intents of the connected sessions."""
        return {session.intents for session in self._sessions.values() if session.connection is not None}

    def dispatch(self, event: str, data: JSON, intent: int = 0) -> None:
        """Sends an event to the sessions of the server in `data` that have `intent` (0: no intent needed)."""
        guild_id = data.get("guild_id") or (data.get("id") if event.startswith("GUILD_") else None)
        for session in self._sessions.values():
            if session.hears_of(int(guild_id) if guild_id else None) and (not intent or session.intents & intent):
                session.dispatch(event, data)

    def drop(self, code: int = UNKNOWN_ERROR) -> None:
        """Closes every connection with `code`; the sessions can still be resumed."""
        for connection in list(self._connections):
            self._detach(connection)
            connection.close(code)

    def cut(self) -> None:
        """Aborts every connection without a close frame, as if a cable broke."""
        for connection in list(self._connections):
            self._detach(connection)
            connection.cut()

    def request_reconnect(self) -> None:
        """Asks the bot to connect again and resume."""
        for connection in self._connections:
            connection.send(RECONNECT)

    def invalidate(self, *, resumable: bool = False) -> None:
        """Declares the sessions invalid; unless `resumable`, deletes them with their events."""
        for connection in self._connections:
            connection.send(INVALID_SESSION, resumable)
        if not resumable:
            self._sessions.clear()

    async def close(self) -> None:
        for connection in list(self._connections):
            await connection.socket.close(code=1001)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handles one connection from HELLO to its end."""
        if self.refuses_connections:
            return web.Response(status=503)
        socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 16)
        await socket.prepare(request)
        connection = Connection(request, socket)
        self._connections.add(connection)
        connection.send(HELLO, {"heartbeat_interval": HEARTBEAT_INTERVAL, "_trace": ["stand-in"]})
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(connection, message.data)
        finally:
            session = self._detach(connection)
            if session is not None and socket.close_code in (1000, 1001):
                self._sessions.pop(session.id, None)
            await connection.finish()
            self._events.emit("gateway_closed", {"code": socket.close_code})
        return socket

    def _detach(self, connection: Connection) -> Session | None:
        self._connections.discard(connection)
        session = self._session_of(connection)
        if session is not None:
            session.connection = None
        return session

    def _session_of(self, connection: Connection) -> Session | None:
        return next((s for s in self._sessions.values() if s.connection is connection), None)

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            message = json.loads(text)
            op, data = message["op"], message.get("d")
        except (ValueError, KeyError, TypeError):
            connection.close(DECODE_ERROR)
            return
        if op == HEARTBEAT:
            self.heartbeats += 1
            asyncio.get_running_loop().call_later(HEARTBEAT_ACK_DELAY, connection.send, HEARTBEAT_ACK)
        elif op == IDENTIFY:
            self._identify(connection, data)
        elif op == RESUME:
            self._resume(connection, data)
        elif self._session_of(connection) is None:
            connection.close(NOT_AUTHENTICATED)
        elif op == REQUEST_MEMBERS:
            self._send_members(data)
        elif op not in (PRESENCE, VOICE_STATE):
            connection.close(UNKNOWN_OPCODE)

    def _identify(self, connection: Connection, data: JSON) -> None:
        if self._session_of(connection) is not None:
            connection.close(ALREADY_AUTHENTICATED)
        elif data.get("token", "").removeprefix("Bot ") != self._world.application.token:
            connection.close(AUTHENTICATION_FAILED)
        elif self.refuses_identifying_with is not None:
            connection.close(self.refuses_identifying_with)
        elif data.get("intents", 0) & PRIVILEGED & ~self.allowed_privileged_intents:
            connection.close(DISALLOWED_INTENTS)
        elif not _is_shard(data.get("shard", [0, 1])):
            connection.close(INVALID_SHARD)
        elif not self.identify_limiter.remaining:  # the token is reset, which ends all sessions
            self._sessions.clear()
            connection.close(AUTHENTICATION_FAILED)
        else:
            number, count = data.get("shard", [0, 1])
            session = Session(f"{self._snowflakes.next():x}", data.get("intents", 0), (number, count))
            guilds = self._guilds_of(session)
            if len(guilds) > self.sharding.servers_per_shard:
                connection.close(SHARDING_REQUIRED)
            elif self.identify_limiter.is_too_early(number):
                connection.send(INVALID_SESSION, False)
            else:
                session.connection = connection
                self._sessions[session.id] = session
                self._send_ready(session, guilds, has_shard="shard" in data)

    def _guilds_of(self, session: Session) -> list[Guild]:
        """The bot's servers on a shard."""
        bot = self._world.bot.id
        return [each for each in self._world.guilds.values() if session.hears_of(each.id) and bot in each.members]

    def _send_ready(self, session: Session, guilds: list[Guild], *, has_shard: bool) -> None:
        world = self._world
        ready: JSON = {
            "v": 10,
            "user": own_user_json(world.bot),
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "application": {"id": str(world.application.id), "flags": 0},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
        }
        session.dispatch("READY", ready | ({"shard": list(session.shard)} if has_shard else {}))
        for guild in guilds if session.intents & GUILDS else []:
            sees_members = session.intents & GUILD_MEMBERS
            members = [m for m in guild.members.values() if sees_members or m.user == world.bot]
            session.dispatch("GUILD_CREATE", guild_create_json(guild, members))
        self._events.emit("gateway_ready", {"session_id": session.id, "shard": list(session.shard)})

    def _resume(self, connection: Connection, data: JSON) -> None:
        session = self._sessions.get(str(data.get("session_id")))
        if session is None or not 0 <= (data.get("seq") or 0) <= len(session.events):
            connection.send(INVALID_SESSION, False)
            return
        if session.connection is not None:
            self._detach(session.connection)
        session.connection = connection
        session.replay(after=data.get("seq") or 0)
        session.dispatch("RESUMED", {})
        self._events.emit("gateway_resumed", {"session_id": session.id})

    def _send_members(self, data: JSON) -> None:
        guild = self._world.guilds.get(int(data["guild_id"]))
        if guild is None:
            return
        wanted = {int(id) for id in data.get("user_ids") or ()}
        prefix = data.get("query")
        members = [
            member
            for member in guild.members.values()
            if member.user.id in wanted or (prefix is not None and member.user.username.startswith(prefix))
        ]
        chunk: JSON = {"guild_id": str(guild.id), "members": [member_json(member) for member in members]}
        chunk |= {"chunk_index": 0, "chunk_count": 1, "not_found": []}
        self.dispatch("GUILD_MEMBERS_CHUNK", chunk | {"nonce": data.get("nonce")})

    def _forward(self, event: DiscordEvent) -> None:
        """Passes on the events that bots with the right intents get."""
        if event.message is not None and not event.message.is_ephemeral:
            channel = event.message.channel
            if not self._world.bot_is_in(channel):
                return
            intent = GUILD_MESSAGES if channel.guild else DIRECT_MESSAGES
            data = {key: value for key, value in event.data.items() if key not in ("visible_to", "guild_id")}
            data |= {"guild_id": str(channel.guild.id)} if channel.guild else {}
            if event.kind == "message_delete":
                data = {key: data[key] for key in ("id", "channel_id", "guild_id") if key in data}
            self.dispatch(event.kind.upper(), data, intent)
        elif event.kind in ("channel_update", "channel_delete", "thread_update", "guild_delete"):
            self.dispatch(event.kind.upper(), event.data, GUILDS)
        elif event.kind == "guild_ban_add":
            self.dispatch("GUILD_BAN_ADD", event.data, GUILD_MODERATION)


def _is_shard(shard: object) -> bool:
    match shard:
        case [int(number), int(count)]:
            return 0 <= number < count
    return False
