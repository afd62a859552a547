"""Brings a job's news to the person who asked: to its one message if that can be, else by the next best way.

Everything here may be repeated. An edit says the same again; a create carries a nonce made of the job, which Discord
enforces for some minutes, and before it the channel is searched for what an earlier one may have posted; and the job's
state in the database says whether there is anything left to deliver.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any

import aiohttp
import discord
from discord import ui
from PIL import Image

from bot.generation.spec import JobSpec
from bot.messages import job as messages
from bot.messages.attachments import media_of
from bot.messages.buttons import shows_images_of
from bot.messages.details import message_url
from bot.messages.limits import MAX_NONCE_LENGTH
from bot.ops.logs import about_its_job
from bot.rules.policy import ChannelContext, PolicyRefusal, TypedText, check_text
from bot.rules.server_settings import load_server_settings
from bot.text.languages import speaking
from bot.text.translation import say
from storage.database import Database
from storage.images import Render
from storage.jobs import Job

logger = logging.getLogger(__name__)

Files = Callable[[], list[discord.File]]

TOO_LARGE = 413
#: Messages in which a job's images are looked for before they are posted again; ten requests at most.
SCAN_LIMIT = 1000
#: Between this machine and Discord, at most.
CLOCK_SKEW = timedelta(minutes=2)
#: Jobs whose closed ways are remembered.
REMEMBERED_JOBS = 10_000
#: Discord's codes for a message, a channel or a webhook that is gone: it does not come back.
GONE_FOR_GOOD = (10003, 10008, 10015)
#: Codes that close a way whatever the status: an archived or locked thread, a message or a channel of another kind, a
#: message that cannot be edited.
CLOSED = (50083, 160005, 50024, 50033, 50005, 50008)
#: Codes that pass by themselves in spite of their status: private messages opened too fast.
MAY_PASS = (40003,)
#: Of the WebP that takes the place of a PNG which Discord finds too large.
SMALLER_QUALITY = 90


class Undeliverable(Exception):
    """The images cannot be brought to the person; the message says why."""


class MessageOutOfReach(Exception):
    """No way to the job's message is open any longer."""

    def __str__(self) -> str:
        return "no way to its message is open"


class Way(Enum):
    """To a job's message."""

    TOKEN = auto()
    MESSAGE = auto()


class NoLongerAllowed(Exception):
    """The images may not be shown any longer where they were asked for."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Posted:
    channel_id: int
    message_id: int
    attachment_ids: Sequence[int]  # of the images, in their order


class Delivery:
    def __init__(self, client: discord.Client, database: Database) -> None:
        self._client = client
        self._database = database
        #: Of each job, the ways to its message that Discord has closed.
        self._closed: OrderedDict[int, set[Way]] = OrderedDict()

    @about_its_job
    async def deliver(self, job: Job) -> None:
        """Post a rendered job's pictures and write down that it is done.

        Raises Undeliverable, NoLongerAllowed, discord.HTTPException.
        """
        renders = await self._database.images.renders(job.id)
        if not renders:
            return  # ended in the meantime
        refusal = await self._forbidden(job)
        if refusal is not None:
            with speaking(messages.message_locale(job)):
                raise NoLongerAllowed(refusal.sentence)
        try:
            posted = await self._post_images(job, renders)
        except discord.HTTPException as error:
            if error.status != TOO_LARGE:
                raise
            logger.info("too large for Discord, so it is made smaller")
            posted = await self._post_smaller(job, renders)
        ids = zip(renders, posted.attachment_ids, strict=False)
        await self._database.jobs.delivered(
            job.id,
            channel_id=posted.channel_id,
            message_id=posted.message_id,
            attachments={render.image.index: attachment_id for render, attachment_id in ids},
        )

    @about_its_job
    async def show(self, job: Job, view: ui.LayoutView, files: Files = list) -> bool:
        """Show how a job is getting on. False: it could not be; the picture will find its own way."""
        try:
            await self._edit(job, view, files)
        except (discord.HTTPException, MessageOutOfReach, aiohttp.ClientError, OSError) as error:
            logger.info("its progress could not be shown (%s)", error)
            return False
        return True

    @about_its_job
    async def report_failure(self, job: Job, reason: str) -> None:
        """Say that a job failed, and why. Raises Undeliverable, discord.HTTPException."""

        def view() -> ui.LayoutView:
            return messages.failed(job, messages.explain_reason(reason))

        await self._post(job, view, list, purpose="apology")
        await self._database.jobs.mark_notified(job.id)

    async def _forbidden(self, job: Job) -> PolicyRefusal | None:
        """Why a job may not be shown in its channel any more: a channel can lose its age restriction."""
        channel = self._client.get_channel(job.channel_id)
        if channel is None:
            return None  # nothing is heard of such a channel, so nothing has been heard of a change
        settings = await load_server_settings(self._database.servers, job.guild_id)
        spec = JobSpec.of(job)
        typed = TypedText((job.prompt, spec.options.artist or ""), job.negative_prompt)
        context = ChannelContext.of_channel(job.guild_id, channel)
        return await asyncio.to_thread(check_text, settings, context, spec, typed)

    async def _post_images(self, job: Job, renders: Sequence[Render], *, made_smaller: bool = False) -> Posted:
        names = [_attachment_name(render) for render in renders]
        parent = None
        if job.parent_picture_id is not None:
            parent = await self._database.images.get(job.parent_picture_id)
        images, parent_url = [render.image for render in renders], message_url(self._client, parent)

        def view() -> ui.LayoutView:
            notes = say(messages.MADE_SMALLER) if made_smaller else ""
            return messages.finished(job, images, names, parent_url, notes)

        def files() -> list[discord.File]:
            contents = zip(renders, names, strict=True)
            return [discord.File(io.BytesIO(render.content), filename=name) for render, name in contents]

        return await self._post(job, view, files, purpose="picture")

    async def _post_smaller(self, job: Job, renders: Sequence[Render]) -> Posted:
        smaller = await asyncio.to_thread(lambda: [_smaller(render) for render in renders])
        try:
            return await self._post_images(job, smaller, made_smaller=True)
        except discord.HTTPException as error:
            if error.status != TOO_LARGE:
                raise
            raise Undeliverable(messages.TOO_LARGE_FOR_DISCORD) from error

    async def _post(self, job: Job, view: Callable[[], ui.LayoutView], files: Files, purpose: str) -> Posted:
        """`view` is asked for the message in the language of who sees it: that of its place, or the person's."""
        with speaking(messages.message_locale(job)):
            shared = view()
        try:
            return await self._edit(job, shared, files)
        except (discord.HTTPException, MessageOutOfReach) as error:
            if not _out_of_reach(error):
                raise
            logger.info("its message is out of reach (%s); posting a new one", error)
        nonce = f"{purpose}-{job.id}"[:MAX_NONCE_LENGTH]
        if not job.private:
            channel = self._client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
            try:
                return await self._post_anew(channel, job, shared, files, nonce)
            except discord.HTTPException as error:
                if not _out_of_reach(error):
                    raise
                logger.info("its channel is out of reach (%s); sending a private message", error)
        with speaking(job.locale):
            own = view()
        try:
            private = await self._client.create_dm(discord.Object(job.user_id))
            return await self._post_anew(private, job, own, files, nonce)
        except discord.HTTPException as error:
            if not _out_of_reach(error):
                raise
            raise Undeliverable(
                f"Neither the message, nor its channel, nor a private message could be reached: {error}"
            ) from error

    async def _post_anew(
        self, to: discord.abc.Messageable, job: Job, view: ui.LayoutView, files: Files, nonce: str
    ) -> Posted:
        """A new message names the person who asked, and so tells them that it is there."""
        posted = await self._posted_before(to, job)
        if posted is not None:
            logger.info("its images are there already")
            return posted
        return _posted(await to.send(view=view, files=files(), nonce=nonce, allowed_mentions=_of_asker(job)))

    async def _posted_before(self, to: discord.abc.Messageable, job: Job) -> Posted | None:
        """What an earlier try has posted without learning of it: its answer was lost, or the process was killed."""
        since = job.queued_at - CLOCK_SKEW
        async for message in to.history(limit=SCAN_LIMIT, after=since, oldest_first=False):
            if message.author == self._client.user and shows_images_of(job.id, message):
                return _posted(message)
        return None

    async def _edit(self, job: Job, view: ui.LayoutView, files: Files) -> Posted:
        """By the interaction's token while it lives, which is beside the channel's rate limit; then by channel and id.

        The token is tried whenever it may live: Discord's answer says when it is over, not this machine's clock.
        A way that is closed is remembered and not tried again.
        """
        closed = self._closed_ways(job)
        if Way.TOKEN not in closed:
            try:
                return await self._edit_by_token(job, view, files)
            except discord.HTTPException as error:
                if not _out_of_reach(error):
                    raise
                closed.add(Way.TOKEN)
        if job.message_id is None or job.private or Way.MESSAGE in closed:
            raise MessageOutOfReach
        try:
            return await self._edit_by_id(job, view, files)
        except discord.HTTPException as error:
            if error.code in GONE_FOR_GOOD:
                closed.add(Way.MESSAGE)
            raise

    def _closed_ways(self, job: Job) -> set[Way]:
        closed = self._closed.setdefault(job.id, set() if job.interaction_token else {Way.TOKEN})
        self._closed.move_to_end(job.id)
        if len(self._closed) > REMEMBERED_JOBS:
            self._closed.popitem(last=False)
        return closed

    async def _edit_by_id(self, job: Job, view: ui.LayoutView, files: Files) -> Posted:
        assert job.message_id is not None
        channel = self._client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
        message = channel.get_partial_message(job.message_id)
        return _posted(await message.edit(content=None, view=view, attachments=files()))

    async def _edit_by_token(self, job: Job, view: ui.LayoutView, files: Files) -> Posted:
        assert self._client.application_id is not None and job.interaction_token is not None
        webhook = discord.Webhook.partial(self._client.application_id, job.interaction_token, client=self._client)
        original: Any = "@original"  # discord.py's types know ids alone
        # Text that another process with this token may have put there gives way.
        without_text: Any = {"content": None}
        message = await webhook.edit_message(
            original, view=view, attachments=files(), allowed_mentions=_of_asker(job), **without_text
        )
        return replace(_posted(message), channel_id=job.channel_id)


def _of_asker(job: Job) -> discord.AllowedMentions:
    return discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(job.user_id)])


def _attachment_name(render: Render) -> str:
    return (messages.SPOILER if render.image.spoiler else "") + render.image.file_name


def _smaller(render: Render) -> Render:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(render.content)).save(buffer, "WEBP", quality=SMALLER_QUALITY, method=4)
    name = render.image.file_name.removesuffix(".png") + ".webp"
    return Render(replace(render.image, file_name=name), buffer.getvalue())


def _out_of_reach(error: Exception) -> bool:
    """Gone, closed to us, or behind a token that has expired: another way may be open."""
    if isinstance(error, MessageOutOfReach):
        return True
    if not isinstance(error, discord.HTTPException) or error.code in MAY_PASS:
        return False
    return error.status in (401, 403, 404) or error.code in CLOSED


def _posted(message: discord.Message) -> Posted:
    attachments = [media.attachment_id for media in media_of(message) if media.attachment_id is not None]
    return Posted(message.channel.id, message.id, attachments)
