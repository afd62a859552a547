"""Creates messages from request bodies, checks, stores and serializes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.sandbox.model import components as ui
from bot.sandbox.model.attachments import Attachment, Cdn, Upload
from bot.sandbox.model.clock import Clock, Snowflakes
from bot.sandbox.model.errors import (
    EMPTY_MESSAGE,
    JSON,
    THREAD_ARCHIVED,
    THREAD_LOCKED,
    TOO_LARGE,
    TOO_MANY_ATTACHMENTS,
    UNKNOWN_MESSAGE,
    ApiError,
    FormErrors,
)
from bot.sandbox.model.events import EventLog
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.serializers import channel_json, iso, user_json
from bot.sandbox.model.world import Channel, Role, User, World

SUPPRESS_EMBEDS, EPHEMERAL, LOADING, SUPPRESS_NOTIFICATIONS, COMPONENTS_V2 = 1 << 2, 1 << 6, 1 << 7, 1 << 12, 1 << 15

#: Discord's message types.
DEFAULT, REPLY, CHAT_INPUT_COMMAND, CONTEXT_MENU_COMMAND = 0, 19, 20, 23

MAX_CONTENT = 2000
MAX_EMBEDS, MAX_EMBED_TEXT = 10, 6000
MAX_ATTACHMENTS = 10
MAX_NONCE_LENGTH = 25
#: Seconds that a nonce is remembered. Discord says "a few minutes"; this is short, so that nothing relies on more.
NONCE_LIFETIME = 180.0


@dataclass(frozen=True)
class Body:
    """The body of a request about a message: its JSON, and its files by the number in `files[n]`."""

    payload: JSON
    files: Mapping[int, Upload] = field(default_factory=dict)


@dataclass(frozen=True)
class Mentions:
    """Whom a message notifies, after `allowed_mentions` and permissions are applied."""

    users: tuple[User, ...] = ()
    roles: tuple[Role, ...] = ()
    everyone: bool = False


@dataclass(frozen=True)
class Message:
    """One version of a message; an edit creates another with the same id.

    `embeds` and `components` are as they were sent; `attachments` are all files of the message, in order.
    `visible_to` is the only user who sees an ephemeral message.
    """

    id: int
    channel: Channel
    author: User
    created_at: float
    type: int = DEFAULT
    content: str = ""
    embeds: tuple[JSON, ...] = ()
    components: tuple[JSON, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    flags: int = 0
    edited_at: float | None = None
    nonce: str | int | None = None
    mentions: Mentions = Mentions()
    reply_to: Message | None = None
    interaction_metadata: JSON | None = field(default=None, repr=False)
    visible_to: User | None = None

    @property
    def is_ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def is_loading(self) -> bool:
        """Whether users still see "… is thinking"."""
        return bool(self.flags & LOADING)

    @property
    def is_v2(self) -> bool:
        return bool(self.flags & COMPONENTS_V2)

    @property
    def text(self) -> str:
        """All text that users read: content, embeds, and text components, each on its own line."""
        lines: list[str | None] = [self.content]
        for embed in self.embeds:
            lines += [embed.get("title"), embed.get("description")]
            lines += [f"{item['name']}: {item['value']}" for item in embed.get("fields") or []]
            lines.append((embed.get("footer") or {}).get("text"))
        lines += [c.get("content") for _, c in ui.walk(list(self.components)) if c.get("type") == ui.TEXT_DISPLAY]
        return "\n".join(line for line in lines if line)

    @property
    def shown(self) -> tuple[Attachment, ...]:
        """The files that users can see; in a V2 message only those that a component refers to."""
        if not self.is_v2:
            return self.attachments
        referred_to = ui.references(list(self.components))
        return tuple(a for a in self.attachments if a.filename in referred_to)

    def inputs(self) -> list[JSON]:
        """Every button and select of the message."""
        kinds = {ui.BUTTON} | ui.SELECTS
        return [component for _, component in ui.walk(list(self.components)) if component.get("type") in kinds]


class Messages:
    """All messages, and the rules for creating and editing them."""

    def __init__(
        self, world: World, clock: Clock, snowflakes: Snowflakes, cdn: Cdn, events: EventLog[Message, Any]
    ) -> None:
        self._world = world
        self._clock = clock
        self._snowflakes = snowflakes
        self._cdn = cdn
        self._events = events
        self._messages_by_id: dict[int, Message] = {}
        self._nonces: dict[tuple[int, str], tuple[int, float]] = {}

    def get(self, id: int) -> Message | None:
        return self._messages_by_id.get(id)

    def require(self, channel: Channel, id: int) -> Message:
        """The public message with this id in `channel`; raises Unknown Message for ephemeral ones too."""
        message = self._messages_by_id.get(id)
        if message is None or message.channel is not channel or message.is_ephemeral:
            raise ApiError(UNKNOWN_MESSAGE)
        return message

    def everywhere(self) -> list[Message]:
        return list(self._messages_by_id.values())

    def in_channel(self, channel: Channel) -> list[Message]:
        """The messages of a channel, ephemeral ones too, oldest first."""
        return sorted((m for m in self._messages_by_id.values() if m.channel is channel), key=lambda m: m.id)

    def create(
        self,
        channel: Channel,
        author: User,
        body: Body,
        *,
        type: int = DEFAULT,
        flags: int = 0,
        reply_to: Message | None = None,
        interaction_metadata: JSON | None = None,
        visible_to: User | None = None,
    ) -> Message:
        """Posts a message; raises ApiError if Discord would refuse it.

        If `enforce_nonce` is set and the same author used the nonce within NONCE_LIFETIME, posts nothing and returns
        the earlier message; raises Unknown Message if that one was deleted.
        """
        if channel.archived and channel.locked:
            raise ApiError(THREAD_LOCKED)
        nonce = body.payload.get("nonce")
        enforced = bool(body.payload.get("enforce_nonce")) and nonce is not None
        if enforced and (earlier := self._nonces.get((author.id, str(nonce)))):
            message_id, at = earlier
            if self._clock.now() - at < NONCE_LIFETIME:
                if message_id not in self._messages_by_id:
                    raise ApiError(UNKNOWN_MESSAGE)
                return self._messages_by_id[message_id]
        blank = Message(
            id=self._snowflakes.next(),
            channel=channel,
            author=author,
            created_at=self._clock.now(),
            type=REPLY if reply_to and type == DEFAULT else type,
            flags=flags,
            reply_to=reply_to,
            interaction_metadata=interaction_metadata,
            visible_to=visible_to,
        )
        message = self._apply(blank, body)
        if enforced:
            self._nonces[(author.id, str(nonce))] = (message.id, self._clock.now())
        self._messages_by_id[message.id] = message
        if channel.archived:
            channel.archived = False
            self._events.emit("thread_update", channel_json(channel))
        self._tell("message_create", message)
        return message

    def edit(self, message: Message, body: Body) -> Message:
        """Changes the fields that the body contains; raises ApiError if Discord would refuse it."""
        if message.channel.archived:
            raise ApiError(THREAD_ARCHIVED)
        edited = replace(self._apply(message, body), edited_at=self._clock.now())
        self._messages_by_id[message.id] = edited
        self._tell("message_update", edited)
        return edited

    def create_placeholder(
        self, channel: Channel, author: User, *, type: int, flags: int, metadata: JSON, visible_to: User | None
    ) -> Message:
        """Posts the "… is thinking" message of a deferred answer."""
        message = Message(
            id=self._snowflakes.next(),
            channel=channel,
            author=author,
            created_at=self._clock.now(),
            type=type,
            flags=flags | LOADING,
            interaction_metadata=metadata,
            visible_to=visible_to,
        )
        self._messages_by_id[message.id] = message
        self._tell("message_create", message)
        return message

    def restore(self, message: Message) -> None:
        """Restores a message from an earlier start, without an event."""
        self._messages_by_id[message.id] = message

    def delete(self, message: Message) -> None:
        self._messages_by_id.pop(message.id, None)
        self._tell("message_delete", message)

    def forget(self, message_id: int) -> None:
        """Deletes a message without an event, as if the gateway had lost it."""
        del self._messages_by_id[message_id]

    def delete_channel_messages(self, channel: Channel) -> None:
        for message in self.in_channel(channel):
            del self._messages_by_id[message.id]

    def as_json(self, message: Message, *, whole: bool = True) -> JSON:
        """The message as the API returns it. `whole`: includes the message that it replies to.

        The nonce is left out, because Discord returns it only to the creator of the message.
        """
        hidden_files = self._referred_to(message)
        payload: JSON = {
            "id": str(message.id),
            "channel_id": str(message.channel.id),
            "type": message.type,
            "author": user_json(message.author),
            "content": message.content,
            "timestamp": iso(message.created_at),
            "edited_timestamp": iso(message.edited_at) if message.edited_at is not None else None,
            "flags": message.flags,
            "tts": False,
            "pinned": False,
            "mention_everyone": message.mentions.everyone,
            "mentions": [user_json(user) for user in message.mentions.users],
            "mention_roles": [str(role.id) for role in message.mentions.roles],
            "attachments": [
                self._cdn.as_json(attachment, ephemeral=message.is_ephemeral)
                for attachment in message.attachments
                if attachment.filename not in hidden_files and not message.is_v2
            ],
            "embeds": [self._embed_json(embed, message) for embed in message.embeds],
            "components": ui.serialize(list(message.components), lambda media: self._media_json(media, message)),
        }
        if message.interaction_metadata is not None:
            application_id = str(self._world.application.id)
            payload |= {"interaction_metadata": message.interaction_metadata, "webhook_id": application_id}
            payload["application_id"] = application_id
        if message.reply_to is not None:
            payload["message_reference"] = {
                "type": 0,
                "message_id": str(message.reply_to.id),
                "channel_id": str(message.reply_to.channel.id),
            }
            if message.channel.guild is not None:
                payload["message_reference"]["guild_id"] = str(message.channel.guild.id)
            if whole:
                still_there = self._messages_by_id.get(message.reply_to.id)
                payload["referenced_message"] = self.as_json(still_there, whole=False) if still_there else None
        return payload

    def _tell(self, kind: str, message: Message) -> None:
        data = self.as_json(message)
        data["guild_id"] = str(message.channel.guild.id) if message.channel.guild else None
        data["visible_to"] = str(message.visible_to.id) if message.visible_to else None
        self._events.emit(kind, data, message=message)

    def _apply(self, base: Message, body: Body) -> Message:
        payload = body.payload
        errors = FormErrors()
        _check_sending(payload, errors)
        errors.raise_if_any()
        limit = base.channel.guild.file_size_limit if base.channel.guild else 10 * (1 << 20)
        if any(len(upload.data) > limit for upload in body.files.values()):
            raise ApiError(TOO_LARGE)

        flags = base.flags & ~LOADING | (payload.get("flags") or 0) & (SUPPRESS_EMBEDS | COMPONENTS_V2)
        if base.edited_at is None and not base.is_loading:
            flags |= (payload.get("flags") or 0) & SUPPRESS_NOTIFICATIONS
        message = replace(
            base,
            flags=flags,
            content=(payload["content"] or "").strip() if "content" in payload else base.content,
            embeds=tuple(payload["embeds"] or ()) if "embeds" in payload else base.embeds,
            components=tuple(payload["components"] or ()) if "components" in payload else base.components,
            nonce=payload.get("nonce", base.nonce),
        )
        _check_content(message, errors)
        message = replace(message, attachments=self._attachments(base, body, errors))
        _check_references(message, errors)
        errors.raise_if_any()
        if len(message.attachments) > MAX_ATTACHMENTS:
            raise ApiError(TOO_MANY_ATTACHMENTS)
        says_something = message.components if message.is_v2 else (message.content, message.embeds, message.attachments)
        if not any(says_something):
            raise ApiError(EMPTY_MESSAGE)
        return replace(message, mentions=self._mentions(message, payload.get("allowed_mentions")))

    def _attachments(self, base: Message, body: Body, errors: FormErrors) -> tuple[Attachment, ...]:
        """The message's files after this request: those it keeps and those it uploads.

        A list of attachments names the files to keep (by id) and describes uploaded ones (by the number in `files[n]`).
        Without a list, all earlier files are kept. Uploads that are not in the list are added.
        Source: "Uploading Files" in Discord's API reference.
        """
        listed = body.payload.get("attachments")
        if listed is None and "attachments" not in body.payload:
            new = [self._cdn.keep(upload, base.channel.id) for _, upload in sorted(body.files.items())]
            return (*base.attachments, *new)
        by_id = {attachment.id: attachment for attachment in base.attachments}
        result: list[Attachment] = []
        unlisted = dict(body.files)
        for index, item in enumerate(listed or []):
            id = int(item["id"])
            if id in by_id:
                result.append(by_id[id])
            elif id in unlisted:
                upload = unlisted.pop(id)
                upload = replace(upload, filename=item.get("filename") or upload.filename)
                spoiler = bool(item.get("is_spoiler"))
                result.append(self._cdn.keep(upload, base.channel.id, item.get("description"), spoiler))
            else:
                complaint = f"There is neither an attachment {id} on this message nor a part files[{id}]."
                errors.add(("attachments", index, "id"), "ATTACHMENT_NOT_FOUND", complaint)
        result += [self._cdn.keep(upload, base.channel.id) for _, upload in sorted(unlisted.items())]
        return tuple(result)

    def _mentions(self, message: Message, allowed: JSON | None) -> Mentions:
        text = "\n".join(
            [message.content, *(c["content"] for _, c in ui.walk(list(message.components)) if _is_text(c))]
        )
        parse = {"users", "roles", "everyone"} if allowed is None else set(allowed.get("parse") or ())
        named_users = {int(id) for id in (allowed or {}).get("users") or ()}
        named_roles = {int(id) for id in (allowed or {}).get("roles") or ()}
        users = [
            self._world.users[id]
            for id in dict.fromkeys(map(int, re.findall(r"<@!?(\d+)>", text)))
            if id in self._world.users and ("users" in parse or id in named_users)
        ]
        if message.reply_to is not None and (allowed is None or allowed.get("replied_user")):
            users += [message.reply_to.author] if message.reply_to.author not in users else []
        guild = message.channel.guild
        if guild is None:
            return Mentions(tuple(users))
        may_mention_all = bool(self._world.permissions(message.author, message.channel) & Permissions.MENTION_EVERYONE)
        mentioned_roles = set(map(int, re.findall(r"<@&(\d+)>", text)))
        roles = [
            role
            for role in guild.roles
            if role.id in mentioned_roles
            and (role.mentionable or may_mention_all)
            and ("roles" in parse or role.id in named_roles)
        ]
        everyone = bool(re.search(r"@(everyone|here)\b", text)) and "everyone" in parse and may_mention_all
        return Mentions(tuple(users), tuple(roles), everyone)

    def _referred_to(self, message: Message) -> set[str]:
        found = ui.references(list(message.components))
        for embed in message.embeds:
            for key, inner in (("image", "url"), ("thumbnail", "url"), ("author", "icon_url"), ("footer", "icon_url")):
                url = (embed.get(key) or {}).get(inner) or ""
                if url.startswith("attachment://"):
                    found.add(url.removeprefix("attachment://"))
        return found

    def _media_json(self, media: JSON, message: Message) -> JSON:
        url: str = media["url"]
        name = url.removeprefix("attachment://")
        attachment = next((a for a in message.attachments if a.filename == name), None)
        if name == url or attachment is None:
            return {"id": str(message.id), "url": url, "proxy_url": url}
        address = self._cdn.url(attachment)
        return {
            "id": str(attachment.id),
            "attachment_id": str(attachment.id),
            "url": address,
            "proxy_url": address,
            "width": attachment.width,
            "height": attachment.height,
            "content_type": attachment.content_type,
            "size": len(attachment.data),
        }

    def _embed_json(self, embed: JSON, message: Message) -> JSON:
        written = {key: value for key, value in embed.items() if value is not None} | {"type": "rich"}
        for key in ("image", "thumbnail"):
            if key in written:
                medium = self._media_json(written[key], message)
                if medium["url"].startswith("attachment://"):
                    del written[key]
                    continue
                written[key] = {k: medium[k] for k in ("url", "proxy_url", "content_type") if medium.get(k)}
                if medium.get("width"):
                    written[key] |= {"width": medium["width"], "height": medium["height"]}
        for key in ("author", "footer"):
            if str((written.get(key) or {}).get("icon_url", "")).startswith("attachment://"):
                icon = self._media_json({"url": written[key]["icon_url"]}, message)["url"]
                written[key] = written[key] | {"icon_url": icon, "proxy_icon_url": icon}
        if written.get("fields"):
            written["fields"] = [item | {"inline": bool(item.get("inline"))} for item in written["fields"]]
        return written


def _is_text(component: JSON) -> bool:
    return component.get("type") == ui.TEXT_DISPLAY and isinstance(component.get("content"), str)


def _check_sending(payload: JSON, errors: FormErrors) -> None:
    """Checks the fields about sending: the nonce, the allowed mentions and the list of attachments."""
    nonce = payload.get("nonce")
    if isinstance(nonce, str):
        errors.check_length(("nonce",), nonce, MAX_NONCE_LENGTH)
    mentions = payload.get("allowed_mentions") or {}
    for key in ("users", "roles"):
        errors.check_length(("allowed_mentions", key), mentions.get(key), 100)
        if mentions.get(key) and key in (mentions.get("parse") or ()):
            complaint = f'parse:["{key}"] and {key}: [ids...] are mutually exclusive.'
            errors.add(("allowed_mentions",), "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", complaint)
    for index, attachment in enumerate(payload.get("attachments") or ()):
        if attachment.get("id") is None:
            errors.add(("attachments", index, "id"), "BASE_TYPE_REQUIRED", "This field is required")


def _check_content(message: Message, errors: FormErrors) -> None:
    errors.check_length(("content",), message.content, MAX_CONTENT)
    if message.is_v2:
        for key in ("content", "embeds"):
            if getattr(message, key):
                complaint = f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
                errors.add((key,), "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", complaint)
    ui.check_in_message(list(message.components), message.is_v2, errors)
    _check_embeds(message.embeds, errors)


def _check_embeds(embeds: Iterable[JSON], errors: FormErrors) -> None:
    embeds = list(embeds)
    errors.check_length(("embeds",), embeds, MAX_EMBEDS)
    total = 0
    for index, embed in enumerate(embeds):
        texts: list[tuple[tuple[str | int, ...], Any, int]] = [
            (("title",), embed.get("title"), 256),
            (("description",), embed.get("description"), 4096),
            (("footer", "text"), (embed.get("footer") or {}).get("text"), 2048),
            (("author", "name"), (embed.get("author") or {}).get("name"), 256),
        ]
        fields = embed.get("fields") or []
        errors.check_length(("embeds", index, "fields"), fields, 25)
        for number, item in enumerate(fields):
            for key, max_length in (("name", 256), ("value", 1024)):
                texts.append((("fields", number, key), item.get(key), max_length))
                if not item.get(key):
                    at = ("embeds", index, "fields", number, key)
                    errors.add(at, "BASE_TYPE_REQUIRED", "This field is required")
        for where, text, max_length in texts:
            errors.check_length(("embeds", index, *where), text, max_length)
            total += len(text or "")
        if not any(
            embed.get(key) for key in ("title", "description", "image", "thumbnail", "author", "footer", "fields")
        ):
            errors.add(("embeds", index, "description"), "BASE_TYPE_REQUIRED", "This field is required")
    if total > MAX_EMBED_TEXT:
        complaint = f"Embed size exceeds maximum size of {MAX_EMBED_TEXT}"
        errors.add(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", complaint)


def _check_references(message: Message, errors: FormErrors) -> None:
    """Complains about components that refer to missing files. (Discord shows embeds without theirs.)"""
    there = {attachment.filename for attachment in message.attachments}
    for name in sorted(ui.references(list(message.components)) - there):
        complaint = f"The referenced attachment '{name}' was not found."
        errors.add(("components",), "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", complaint)
