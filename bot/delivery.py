"""Brings a job's news to the person who asked: to its one message if that can be, else by the next best way.

Everything here may be repeated. An edit says the same again; a create carries a nonce made of the job, which Discord
enforces; and the job's state in the database says whether there is anything left to deliver.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import discord
from discord import ui

from bot import messages
from storage.database import Database
from storage.jobs import Job
from storage.pictures import Render

logger = logging.getLogger(__name__)

Files = Callable[[], list[discord.File]]


class Undeliverable(Exception):
    """No way to the person is open: the message says which were tried."""


@dataclass(frozen=True)
class Posted:
    channel_id: int
    message_id: int
    attachments: Sequence[discord.Attachment]


class Delivery:
    def __init__(self, client: discord.Client, database: Database) -> None:
        self._client = client
        self._database = database

    async def deliver(self, job: Job) -> None:
        """Post a rendered job's pictures and write down that it is done. Raises Undeliverable."""
        renders = await self._database.pictures.renders(job.id)
        if not renders:
            return  # ended in the meantime
        view = messages.finished(job, [render.picture for render in renders])
        posted = await self._post(job, view, lambda: _files(renders), purpose="picture")
        by_name = {attachment.filename: attachment.id for attachment in posted.attachments}
        await self._database.jobs.delivered(
            job.id,
            channel_id=posted.channel_id,
            message_id=posted.message_id,
            attachments={
                render.picture.index: by_name[render.picture.file_name]
                for render in renders
                if render.picture.file_name in by_name
            },
        )

    async def show(self, job: Job, view: ui.LayoutView) -> None:
        """Show how a job is getting on. If that cannot be, nothing is lost: the picture finds its own way."""
        try:
            await self._edit(job, view, list)
        except discord.HTTPException as error:
            logger.info("job %d: its progress could not be shown (%s)", job.id, error)

    async def apologise(self, job: Job, reason: str) -> None:
        """Tell that a job came to nothing. Raises Undeliverable."""
        await self._post(job, messages.failed(job, reason), list, purpose="apology")
        await self._database.jobs.told(job.id)

    async def _post(self, job: Job, view: ui.LayoutView, files: Files, purpose: str) -> Posted:
        try:
            return await self._edit(job, view, files)
        except (discord.NotFound, discord.Forbidden) as error:
            logger.info("job %d: its message is out of reach (%s); posting anew", job.id, error)
        channel = self._client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
        nonce = f"{purpose}-{job.id}"[:25]
        try:
            return _posted(await channel.send(view=view, files=files(), nonce=nonce))
        except (discord.NotFound, discord.Forbidden) as error:
            logger.info("job %d: its channel is out of reach (%s); sending a private message", job.id, error)
        try:
            private = await self._client.create_dm(discord.Object(job.user_id))
            return _posted(await private.send(view=view, files=files(), nonce=nonce))
        except (discord.NotFound, discord.Forbidden) as error:
            raise Undeliverable(
                f"Neither the message, nor its channel, nor a private message could be reached: {error}"
            ) from error

    async def _edit(self, job: Job, view: ui.LayoutView, files: Files) -> Posted:
        if job.message_id is not None and not job.private:
            channel = self._client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
            try:
                message = channel.get_partial_message(job.message_id)
                return _posted(await message.edit(view=view, attachments=files()))
            except (discord.NotFound, discord.Forbidden):
                if not _token_lives(job):
                    raise
        return await self._edit_by_token(job, view, files)

    async def _edit_by_token(self, job: Job, view: ui.LayoutView, files: Files) -> Posted:
        assert self._client.application_id is not None and job.interaction_token is not None
        webhook = discord.Webhook.partial(self._client.application_id, job.interaction_token, client=self._client)
        original: Any = "@original"  # discord.py's types know ids alone
        message = await webhook.edit_message(original, view=view, attachments=files())
        return Posted(job.channel_id, message.id, message.attachments)


def _files(renders: Sequence[Render]) -> list[discord.File]:
    return [
        discord.File(io.BytesIO(render.content), filename=render.picture.file_name, spoiler=render.picture.spoiler)
        for render in renders
    ]


def _posted(message: discord.Message) -> Posted:
    return Posted(message.channel.id, message.id, message.attachments)


def _token_lives(job: Job) -> bool:
    return job.token_expires_at is not None and datetime.now(UTC) < job.token_expires_at
