"""Sends interactions to the bot, checks its answers and applies them.

Source: "Receiving and Responding to Interactions" in Discord's documentation.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bot.sandbox.model import components as ui
from bot.sandbox.model.clock import Clock, Snowflakes
from bot.sandbox.model.commands import GROUP, INTEGER, NUMBER, SLASH, STRING, SUBCOMMAND, check_choices
from bot.sandbox.model.errors import (
    ALREADY_ACKNOWLEDGED,
    INVALID_WEBHOOK_TOKEN,
    JSON,
    TOO_MANY_FOLLOWUPS,
    UNKNOWN_INTERACTION,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    ApiError,
    FormErrors,
)
from bot.sandbox.model.events import Event, EventLog
from bot.sandbox.model.messages import (
    CHAT_INPUT_COMMAND,
    CONTEXT_MENU_COMMAND,
    EPHEMERAL,
    REPLY,
    Body,
    Message,
    Messages,
)
from bot.sandbox.model.permissions import ALL_PERMISSIONS, Permissions
from bot.sandbox.model.serializers import context_of, interaction_channel_json, member_json, user_json
from bot.sandbox.model.world import Channel, User, World

#: Seconds that the bot has for its first answer.
DEADLINE = 3.0
#: Seconds that the token works, from the interaction.
TOKEN_LIFETIME = 15 * 60.0
#: How many follow-ups are allowed if only the user installed the app.
MAX_FOLLOWUPS_AS_GUEST = 5

#: Discord's interaction types.
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5

#: Discord's callback types.
MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9

ALLOWED_CALLBACKS = {
    COMMAND: {MESSAGE, DEFERRED_MESSAGE, MODAL},
    COMPONENT: {MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL_SUBMIT: {MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE},
}


@dataclass(frozen=True)
class Callback:
    """The bot's first answer. `latency`: seconds of real time from dispatch to its arrival."""

    type: int
    at: float
    latency: float
    data: JSON

    @property
    def is_deferral(self) -> bool:
        return self.type in (DEFERRED_MESSAGE, DEFERRED_UPDATE)


@dataclass(eq=False)
class Interaction:
    """One action of a user, and the bot's answers so far."""

    id: int
    token: str
    type: int
    user: User
    channel: Channel
    data: JSON
    dispatched_at: float
    #: The message whose component was used (for a modal: the message that it was opened from).
    source: Message | None = None
    #: For a submitted modal, the interaction that it answered.
    opened_by: Interaction | None = None
    #: Whether only the user installed the app, so that the bot can post only by answering this interaction.
    is_guest: bool = False
    must_be_ephemeral: bool = False
    #: For an autocomplete, the type of the option that is being typed.
    option_type: int = STRING
    callback: Callback | None = None
    failed_at: float | None = None
    original_id: int | None = None
    followup_ids: list[int] = field(default_factory=list)
    sent_at: float = field(default_factory=time.perf_counter)
    concluded: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """The command's name or the component's custom_id."""
        return str(self.data.get("name") or self.data.get("custom_id"))

    @property
    def command(self) -> str | None:
        """The full name of the slash command, such as "anima imagine", or the name of a context menu command."""
        if self.type != COMMAND:
            return None
        words, options = [self.name], self.data.get("options") or []
        while options and options[0]["type"] in (SUBCOMMAND, GROUP):
            words.append(options[0]["name"])
            options = options[0]["options"]
        return " ".join(words)


DiscordEvent: TypeAlias = Event[Message, Interaction]
DiscordEvents: TypeAlias = EventLog[Message, Interaction]


class Interactions:
    """Sends interactions to the bot and accepts its answers by Discord's rules and deadlines."""

    def __init__(
        self,
        world: World,
        messages: Messages,
        clock: Clock,
        snowflakes: Snowflakes,
        events: DiscordEvents,
        dispatch: Callable[[str, JSON], None],
    ) -> None:
        self._world = world
        self._messages = messages
        self._clock = clock
        self._snowflakes = snowflakes
        self._events = events
        self._dispatch = dispatch
        self._by_token: dict[str, Interaction] = {}
        self._by_id: dict[int, Interaction] = {}
        self._deadlines: set[asyncio.Task[None]] = set()

    def send(
        self,
        type: int,
        user: User,
        channel: Channel,
        data: JSON,
        *,
        source: Message | None = None,
        opened_by: Interaction | None = None,
        option_type: int = STRING,
    ) -> Interaction:
        """Dispatches INTERACTION_CREATE and starts the deadline for the first answer."""
        id = self._snowflakes.next()
        digest = hashlib.sha256(str(id).encode()).hexdigest()
        token = base64.urlsafe_b64encode(f"interaction:{id}:{digest}".encode()).decode().rstrip("=")
        is_guest = not self._world.bot_is_in(channel)
        external = Permissions.USE_EXTERNAL_APPS
        interaction = Interaction(
            id=id,
            token=token,
            type=type,
            user=user,
            channel=channel,
            data=data,
            dispatched_at=self._clock.now(),
            source=source,
            opened_by=opened_by,
            is_guest=is_guest,
            must_be_ephemeral=is_guest and not self._world.permissions(user, channel) & external,
            option_type=option_type,
        )
        self._by_token[token] = self._by_id[id] = interaction
        self._tell("interaction_create", interaction)
        watch = asyncio.create_task(self._fail_when_late(interaction), name=f"deadline of interaction {id}")
        self._deadlines.add(watch)
        watch.add_done_callback(self._deadlines.discard)
        self._dispatch("INTERACTION_CREATE", self._payload(interaction))
        interaction.sent_at = time.perf_counter()
        return interaction

    async def close(self) -> None:
        """Stops waiting for answers."""
        for watch in list(self._deadlines):
            watch.cancel()
        await asyncio.gather(*self._deadlines, return_exceptions=True)

    def respond(self, id: int, token: str, type: Any, body: Body, arrived: float) -> Interaction:
        """Accepts the first answer, which came at `arrived` (`time.perf_counter`). Raises ApiError as Discord would."""
        interaction = self._by_token.get(token)
        if interaction is None or interaction.id != id:
            raise ApiError(UNKNOWN_INTERACTION)
        if interaction.callback is not None:
            raise ApiError(ALREADY_ACKNOWLEDGED)
        if interaction.failed_at is not None or self._is_late(interaction):
            raise ApiError(UNKNOWN_INTERACTION)
        self._check_callback(interaction, type, body)
        self._apply_callback(interaction, type, body)
        latency = arrived - interaction.sent_at
        interaction.callback = Callback(type, self._clock.now(), latency, body.payload)
        interaction.concluded.set()
        self._tell("interaction_acknowledged", interaction, {"callback_type": type, "latency": latency})
        return interaction

    def restore(self, interaction: Interaction) -> None:
        """Restores an interaction from an earlier start; its token expires when it would have."""
        self._by_token[interaction.token] = self._by_id[interaction.id] = interaction

    def get(self, id: int) -> Interaction | None:
        return self._by_id.get(id)

    def by_token(self, application_id: int, token: str) -> Interaction:
        """The acknowledged interaction of a webhook URL; raises ApiError as Discord does."""
        interaction = self._by_token.get(token)
        if application_id != self._world.application.id or interaction is None:
            raise ApiError(UNKNOWN_WEBHOOK)
        if self._clock.now() - interaction.dispatched_at > TOKEN_LIFETIME:
            raise ApiError(INVALID_WEBHOOK_TOKEN)
        if interaction.callback is None:
            raise ApiError(UNKNOWN_WEBHOOK)
        return interaction

    def message_of(self, interaction: Interaction, which: int | None) -> Message:
        """The original answer (None), or the answer or follow-up with this id."""
        own = {interaction.original_id, *interaction.followup_ids}
        id = interaction.original_id if which is None else which
        message = self._messages.get(id) if id in own and id is not None else None
        if message is None:
            raise ApiError(UNKNOWN_MESSAGE)
        return message

    def follow_up(self, interaction: Interaction, body: Body) -> Message:
        """Posts another message. Right after a deferral, fills the deferred answer instead; its visibility stays."""
        original = self._messages.get(interaction.original_id) if interaction.original_id else None
        assert interaction.callback is not None
        if interaction.callback.type == DEFERRED_MESSAGE and original is not None and original.is_loading:
            return self._messages.edit(original, body)
        if interaction.is_guest and len(interaction.followup_ids) >= MAX_FOLLOWUPS_AS_GUEST:
            raise ApiError(TOO_MANY_FOLLOWUPS)
        message = self._post(interaction, body, reply_to=original or interaction.source)
        interaction.followup_ids.append(message.id)
        return message

    def _is_late(self, interaction: Interaction) -> bool:
        return self._clock.now() - interaction.dispatched_at > DEADLINE

    async def _fail_when_late(self, interaction: Interaction) -> None:
        await self._clock.sleep_until(interaction.dispatched_at + DEADLINE)
        if interaction.callback is None:
            interaction.failed_at = self._clock.now()
            interaction.concluded.set()
            self._tell("interaction_failed", interaction)

    def _check_callback(self, interaction: Interaction, type: Any, body: Body) -> None:
        errors = FormErrors()
        if type not in ALLOWED_CALLBACKS[interaction.type]:
            allowed = ", ".join(map(str, sorted(ALLOWED_CALLBACKS[interaction.type])))
            complaint = f"An interaction of type {interaction.type} is answered with one of ({allowed}), not {type}."
            errors.add(("type",), "INTERACTION_CALLBACK_TYPE_INVALID", complaint)
        elif type in (UPDATE, DEFERRED_UPDATE) and interaction.source is None:
            complaint = "There is no message to update: the interaction did not come from a component."
            errors.add(("type",), "INTERACTION_CALLBACK_TYPE_INVALID", complaint)
        elif type == MODAL:
            ui.check_modal(body.payload, errors)
        elif type == CHOICES:
            kind = interaction.option_type if interaction.option_type in (STRING, INTEGER, NUMBER) else STRING
            check_choices(body.payload.get("choices") or [], kind, ("data", "choices"), errors)
        errors.raise_if_any()

    def _apply_callback(self, interaction: Interaction, type: int, body: Body) -> None:
        if type == MESSAGE:
            message = self._post(interaction, body, reply_to=interaction.source)
        elif type == DEFERRED_MESSAGE:
            message = self._messages.create_placeholder(
                interaction.channel,
                self._world.bot,
                type=self._message_type(interaction),
                flags=self._ephemeral_flag(interaction, body),
                metadata=self._metadata(interaction),
                visible_to=interaction.user if self._ephemeral_flag(interaction, body) else None,
            )
        elif type == UPDATE:
            message = self._messages.edit(self._current_source(interaction), body)
        elif type == DEFERRED_UPDATE:
            message = self._current_source(interaction)
        else:
            return
        interaction.original_id = message.id

    def _current_source(self, interaction: Interaction) -> Message:
        source = self._messages.get(interaction.source.id) if interaction.source else None
        if source is None:
            raise ApiError(UNKNOWN_MESSAGE)
        return source

    def _post(self, interaction: Interaction, body: Body, reply_to: Message | None) -> Message:
        ephemeral = self._ephemeral_flag(interaction, body)
        return self._messages.create(
            interaction.channel,
            self._world.bot,
            body,
            type=self._message_type(interaction) if interaction.callback is None else REPLY,
            flags=ephemeral,
            reply_to=reply_to,
            interaction_metadata=self._metadata(interaction),
            visible_to=interaction.user if ephemeral else None,
        )

    def _ephemeral_flag(self, interaction: Interaction, body: Body) -> int:
        return EPHEMERAL if interaction.must_be_ephemeral else (body.payload.get("flags") or 0) & EPHEMERAL

    def _message_type(self, interaction: Interaction) -> int:
        if interaction.type != COMMAND:
            return REPLY if interaction.source else CHAT_INPUT_COMMAND
        return CHAT_INPUT_COMMAND if interaction.data["type"] == SLASH else CONTEXT_MENU_COMMAND

    def _metadata(self, interaction: Interaction) -> JSON:
        metadata: JSON = {
            "id": str(interaction.id),
            "type": interaction.type,
            "user": user_json(interaction.user),
            "authorizing_integration_owners": self._owners(interaction),
        }
        if interaction.callback is not None and interaction.original_id is not None:
            metadata["original_response_message_id"] = str(interaction.original_id)
        if interaction.type == COMPONENT and interaction.source is not None:
            metadata["interacted_message_id"] = str(interaction.source.id)
        if interaction.type == MODAL_SUBMIT and interaction.opened_by is not None:
            metadata["triggering_interaction_metadata"] = self._metadata(interaction.opened_by)
            metadata["triggering_interaction_metadata"].pop("original_response_message_id", None)
        return metadata

    def _owners(self, interaction: Interaction) -> JSON:
        owners: JSON = {}
        if interaction.channel.guild is not None and not interaction.is_guest:
            owners["0"] = str(interaction.channel.guild.id)
        elif interaction.channel.guild is None and not interaction.is_guest:
            owners["0"] = "0"
        if interaction.user.id in self._world.installed_by:
            owners["1"] = str(interaction.user.id)
        return owners

    def _payload(self, interaction: Interaction) -> JSON:
        world, user, channel = self._world, interaction.user, interaction.channel
        on_behalf = ALL_PERMISSIONS if interaction.is_guest or channel.guild is None else None
        app_permissions = on_behalf if on_behalf is not None else world.permissions(world.bot, channel)
        payload: JSON = {
            "id": str(interaction.id),
            "application_id": str(world.application.id),
            "type": interaction.type,
            "token": interaction.token,
            "version": 1,
            "data": interaction.data,
            "channel": interaction_channel_json(channel, world, user),
            "channel_id": str(channel.id),
            "app_permissions": str(int(app_permissions)),
            "locale": user.locale,
            "entitlements": [],
            "entitlement_sku_ids": [],
            "authorizing_integration_owners": self._owners(interaction),
            "context": context_of(channel),
            "attachment_size_limit": max(user.upload_limit, channel.guild.file_size_limit if channel.guild else 0),
        }
        if channel.guild is None:
            payload["user"] = user_json(user)
        else:
            permissions = str(int(world.permissions(user, channel)))
            payload["member"] = member_json(channel.guild.members[user.id]) | {"permissions": permissions}
            payload["guild"] = {"id": str(channel.guild.id), "locale": channel.guild.locale, "features": []}
            payload |= {"guild_id": str(channel.guild.id), "guild_locale": channel.guild.locale}
        if interaction.source is not None:
            current = self._messages.get(interaction.source.id) or interaction.source
            payload["message"] = self._messages.as_json(current)
        return payload

    def _tell(self, kind: str, interaction: Interaction, more: JSON | None = None) -> None:
        data = {
            "id": str(interaction.id),
            "type": interaction.type,
            "name": interaction.name,
            "user_id": str(interaction.user.id),
            "channel_id": str(interaction.channel.id),
            "message_id": str(interaction.source.id) if interaction.source else None,
        }
        self._events.emit(kind, data | (more or {}), interaction=interaction)
