"""Stores the stand-in's messages in a file, so that they and their buttons still work after a restart."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.ops.errors import StartupError
from bot.sandbox.fake_discord import FakeDiscord
from bot.sandbox.model.attachments import Attachment
from bot.sandbox.model.errors import JSON
from bot.sandbox.model.interactions import Callback, DiscordEvent, Interaction
from bot.sandbox.model.messages import Mentions, Message
from bot.sandbox.model.world import DM, Role

log = logging.getLogger(__name__)

#: Version of the file's tables. A file of another version is replaced.
VERSION = 1
_SCHEMA = """
CREATE TABLE messages (id INTEGER PRIMARY KEY, written TEXT NOT NULL);
CREATE TABLE interactions (id INTEGER PRIMARY KEY, written TEXT NOT NULL);
CREATE TABLE files (id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL, written TEXT NOT NULL, data BLOB NOT NULL);
CREATE INDEX files_of_message ON files (message_id);
CREATE TABLE private_channels (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL);
"""


class Archive:
    """The messages, files and interactions of one stand-in. A context manager that records changes until its end.

    A separate thread writes, so that nothing waits for the disk.
    """

    def __init__(self, path: Path, discord: FakeDiscord) -> None:
        """Raises StartupError if the file cannot be used."""
        self._discord = discord
        self._writer = ThreadPoolExecutor(1, "archive")
        try:
            self._file = _open(path)
        except sqlite3.Error as error:
            raise StartupError(
                f"The sandbox's messages in {path} cannot be read ({error}). Delete that file to begin without them."
            ) from error

    def __enter__(self) -> Self:
        _Restoration(self._discord, self._file).run()
        self._stop: Callable[[], None] = self._discord.events.listen(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()
        self._writer.shutdown()
        self._file.close()

    def _note(self, event: DiscordEvent) -> None:
        if event.kind == "message_delete" and event.message is not None:
            self._write(self._delete, event.message.id)
        elif event.message is not None:
            self._write(self._save_message, event.message)
        elif event.kind == "interaction_acknowledged" and event.interaction is not None:
            written = json.dumps(_interaction_json(event.interaction))
            self._write(self._save_interaction, event.interaction.id, written)

    def _write(self, write: Callable[..., None], *what: object) -> None:
        self._writer.submit(write, *what).add_done_callback(_log_failure)

    def _delete(self, message_id: int) -> None:
        with self._file:
            self._file.execute("DELETE FROM messages WHERE id = ?", (message_id,))
            self._file.execute("DELETE FROM files WHERE message_id = ?", (message_id,))

    def _save_message(self, message: Message) -> None:
        kept = {attachment.id for attachment in message.attachments}
        with self._file:
            row = (message.id, json.dumps(_message_json(message)))
            self._file.execute("INSERT OR REPLACE INTO messages VALUES (?, ?)", row)
            stored = {id for (id,) in self._file.execute("SELECT id FROM files WHERE message_id = ?", (message.id,))}
            self._file.executemany("DELETE FROM files WHERE id = ?", [(id,) for id in stored - kept])
            for attachment in message.attachments:
                if attachment.id not in stored:
                    written = (attachment.id, message.id, json.dumps(_file_json(attachment)), attachment.data)
                    self._file.execute("INSERT INTO files VALUES (?, ?, ?, ?)", written)
            if message.channel.type == DM:
                of_user = (message.channel.id, message.channel.recipients[0].id)
                self._file.execute("INSERT OR IGNORE INTO private_channels VALUES (?, ?)", of_user)

    def _save_interaction(self, id: int, written: str) -> None:
        with self._file:
            self._file.execute("INSERT OR REPLACE INTO interactions VALUES (?, ?)", (id, written))


def _log_failure(written: Future[None]) -> None:
    if (error := written.exception()) is not None:
        log.warning("a message of the sandbox was not saved: %s", error)


def _open(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, check_same_thread=False)
    [(version,)] = file.execute("PRAGMA user_version")
    if version != VERSION:
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            file.execute(f"DROP TABLE {name}")
        file.executescript(_SCHEMA)
        file.execute(f"PRAGMA user_version = {VERSION}")
    return file


class _Restoration:
    """Restores a file's contents into a new stand-in."""

    def __init__(self, discord: FakeDiscord, file: sqlite3.Connection) -> None:
        self._discord, self._file = discord, file
        roles = [role for guild in discord.world.guilds.values() for role in guild.roles]
        self._roles: dict[int, Role] = {role.id: role for role in roles}

    def run(self) -> None:
        world = self._discord.world
        for id, user_id in self._file.execute("SELECT id, user_id FROM private_channels"):
            if user_id in world.users:
                world.restore_dm(id, world.users[user_id])
        files: dict[int, list[Attachment]] = {}
        for message_id, written, data in self._file.execute("SELECT message_id, written, data FROM files ORDER BY id"):
            attachment = Attachment(data=data, **json.loads(written))
            self._discord.cdn.restore(attachment)
            files.setdefault(message_id, []).append(attachment)
        for id, written in self._file.execute("SELECT id, written FROM messages ORDER BY id"):
            self._restore_message(json.loads(written), files.get(id, []))
        for (written,) in self._file.execute("SELECT written FROM interactions ORDER BY id"):
            self._restore_interaction(json.loads(written))

    def _restore_message(self, written: JSON, files: list[Attachment]) -> None:
        world, messages = self._discord.world, self._discord.messages
        channel, author = world.channel(written["channel"]), world.users.get(written["author"])
        if channel is None or author is None:
            return
        by_id = {attachment.id: attachment for attachment in files}
        mentioned = written["mentions"]
        messages.restore(
            Message(
                **{key: written[key] for key in _PLAIN},
                channel=channel,
                author=author,
                embeds=tuple(written["embeds"]),
                components=tuple(written["components"]),
                attachments=tuple(by_id[id] for id in written["attachments"] if id in by_id),
                mentions=Mentions(
                    tuple(world.users[id] for id in mentioned["users"] if id in world.users),
                    tuple(self._roles[id] for id in mentioned["roles"] if id in self._roles),
                    mentioned["everyone"],
                ),
                reply_to=messages.get(written["reply_to"] or 0),
                visible_to=world.users.get(written["visible_to"] or 0),
            )
        )

    def _restore_interaction(self, written: JSON) -> None:
        discord = self._discord
        user, channel = discord.world.users.get(written["user"]), discord.world.channel(written["channel"])
        if user is None or channel is None:
            return
        interaction = Interaction(
            **{key: written[key] for key in _PLAIN_OF_INTERACTION},
            user=user,
            channel=channel,
            source=discord.messages.get(written["source"] or 0),
            opened_by=discord.interactions.get(written["opened_by"] or 0),
            callback=Callback(**written["callback"]),
        )
        interaction.concluded.set()
        discord.interactions.restore(interaction)


#: Fields that are stored as JSON unchanged.
_PLAIN = ("id", "created_at", "type", "content", "flags", "edited_at", "nonce", "interaction_metadata")
_PLAIN_OF_INTERACTION = (
    *("id", "token", "type", "data", "dispatched_at", "is_guest", "must_be_ephemeral", "option_type", "failed_at"),
    *("original_id", "followup_ids"),
)


def _message_json(message: Message) -> JSON:
    return {key: getattr(message, key) for key in _PLAIN} | {
        "channel": message.channel.id,
        "author": message.author.id,
        "embeds": list(message.embeds),
        "components": list(message.components),
        "attachments": [attachment.id for attachment in message.attachments],
        "mentions": {
            "users": [user.id for user in message.mentions.users],
            "roles": [role.id for role in message.mentions.roles],
            "everyone": message.mentions.everyone,
        },
        "reply_to": message.reply_to.id if message.reply_to is not None else None,
        "visible_to": message.visible_to.id if message.visible_to is not None else None,
    }


def _file_json(attachment: Attachment) -> JSON:
    written = dict(vars(replace(attachment, data=b"")))
    del written["data"]
    return written


def _interaction_json(interaction: Interaction) -> JSON:
    assert interaction.callback is not None
    return {key: getattr(interaction, key) for key in _PLAIN_OF_INTERACTION} | {
        "user": interaction.user.id,
        "channel": interaction.channel.id,
        "source": interaction.source.id if interaction.source is not None else None,
        "opened_by": interaction.opened_by.id if interaction.opened_by is not None else None,
        "callback": dict(vars(interaction.callback)),
    }
