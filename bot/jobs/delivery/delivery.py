"""Delivers a job's updates to its user: by editing the job's message if possible, or else by the next best route.

Everything here may be repeated. Repeating an edit changes nothing. A new message has a nonce made from its request's
id, which Discord enforces for some minutes. Before it is sent, the channel is searched for one of an earlier attempt.
The job's state in the database says whether there is anything left to deliver.

A message that somebody deleted is not posted again; `MessageDeleted` ends the job.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import aiohttp
import discord
from discord import ui
from PIL import Image

from bot.generation.spec import JobSpec
from bot.jobs.delivery.places import Judgement, Places
from bot.jobs.delivery.refusals import (
    UNKNOWN_MESSAGE,
    MessageDeleted,
    is_out_of_reach,
    is_too_large,
)
from bot.jobs.delivery.request_budget import RequestBudget
from bot.jobs.delivery.routes import (
    DeliveryRoute,
    DeliveryRoutes,
    Files,
    MessageEditor,
    MessageOutOfReach,
    Posted,
    allowed_mentions,
    posted,
)
from bot.jobs.delivery.transmission import Dropped, independent_task
from bot.jobs.servers.lookup import ServerLookup
from bot.messages import job as messages
from bot.messages.buttons import shows_images_of
from bot.messages.details import message_url
from bot.messages.layout import without_quotes
from bot.messages.limits import MAX_NONCE_LENGTH
from bot.ops.logs import with_job_log_context
from bot.rules.image_policy import ImagePolicy
from bot.rules.policy import ChannelContext
from bot.text.languages import speaking
from bot.text.translation import say
from inference.metadata import exif_of
from storage.backend.errors import StorageUnavailable
from storage.database import Database
from storage.images import Render
from storage.jobs import Job

logger = logging.getLogger(__name__)

#: How many messages are searched for a job's images before they are posted again; ten requests at most.
SCAN_LIMIT = 1000
#: Quality of the WebP that replaces a PNG which is too large for Discord.
SMALLER_QUALITY = 90
#: Seconds after which a request without an answer has either taken effect or never will.
SETTLING_TIME = 5.0

#: Purposes of messages. With an interaction's id each fits into a nonce.
DRAWN, ENDED = "drawn", "ended"

#: Errors when a place's rules are looked up: Discord or the database does not answer, or the job cannot be read.
LOOKUP_ERRORS = (discord.HTTPException, aiohttp.ClientError, OSError, StorageUnavailable, ValueError)


class Undeliverable(Exception):
    """The images cannot reach the user; the message says why."""


class NoLongerAllowed(Exception):
    """The images may not be shown in any of the remaining places."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class _JobUpdate:
    """An update about a job, as it is shown in a place.

    view: in the current language. images: checked by the place's rules before they are shown.
    purpose: DRAWN or ENDED, which makes the nonces of one job's updates differ.
    """

    purpose: str
    view: Callable[[Judgement], ui.LayoutView]
    files: Callable[[Judgement], list[discord.File]] = lambda judgement: []
    images: tuple[Render, ...] = ()

    def files_for(self, judgement: Judgement) -> Files:
        return lambda: self.files(judgement)

    @property
    def has_files(self) -> bool:
        return bool(self.images)


class Delivery:
    def __init__(
        self,
        client: discord.Client,
        database: Database,
        servers: ServerLookup,
        image_policy: ImagePolicy,
        refused: Callable[[Job, Exception], None],
        requests: RequestBudget,
    ) -> None:
        """`refused` is called when Discord closes a route to a job."""
        self._client = client
        self._database = database
        self._routes = DeliveryRoutes(refused)
        self._editor = MessageEditor(client, servers, self._routes, requests)
        self._places = Places(servers, database, image_policy)

    @with_job_log_context
    async def deliver(self, job: Job, *, unsettled: bool = False) -> Posted | None:
        """Post a rendered job's images and record it as delivered. Returns where, or None if the job has ended.

        unsettled: an edit of its message got no answer and may still take effect, so the images are sent twice.
        Raises Undeliverable, NoLongerAllowed, MessageDeleted, Dropped, discord.HTTPException.
        """
        renders = await self._database.images.renders(job.id)
        if not renders:
            return None
        place = await self._post_in_any_size(job, renders)
        if unsettled:
            await asyncio.sleep(SETTLING_TIME)
            place = await self._post_in_any_size(job, renders)
        ids = zip(renders, place.attachment_ids, strict=False)
        is_wanted = await self._database.jobs.delivered(
            job.id,
            channel_id=place.channel_id,
            message_id=place.message_id,
            guild_id=None if place.in_private else job.guild_id,
            attachments={render.image.index: attachment_id for render, attachment_id in ids},
        )
        if not is_wanted:
            await self._retract(job, place)
            return None
        return place

    @with_job_log_context
    async def show(self, job: Job, view: ui.LayoutView, files: Files = list, *, with_files: bool = False) -> bool:
        """Show a job's progress. Returns False if that failed; the image is delivered anyway.

        Raises MessageDeleted.
        """
        return await self._try_to_edit(job, view, files, with_files=with_files, is_progress=True)

    async def takes_previews(self, job: Job) -> bool:
        """Whether unfinished images may be shown in a job's message now. False if that cannot be determined."""
        try:
            return await self._places.takes_previews(job)
        except LOOKUP_ERRORS:
            return False

    @with_job_log_context
    async def conclude(self, job: Job, view: ui.LayoutView) -> bool:
        """Show in a job's message how it ended, if possible. Returns whether it was shown."""
        try:
            return await self._try_to_edit(job, view, list, with_files=False, is_progress=False)
        except MessageDeleted:
            return False

    @with_job_log_context
    async def link_to(self, job: Job, place: Posted) -> None:
        """Link from a job's message to its images, if they are elsewhere."""
        if place.message_id == job.message_id or job.message_id is None:
            return
        is_here = place.channel_id == job.channel_id
        channel = self._client.get_partial_messageable(place.channel_id, guild_id=job.guild_id)
        url = channel.get_partial_message(place.message_id).jump_url if is_here else None
        quoted = await self._may_show_words(job)
        with speaking(messages.message_locale(job)):
            view = messages.moved(job, url, quoted=quoted)
        await self.conclude(job, view)

    @with_job_log_context
    async def report_failure(self, job: Job, reason: str) -> None:
        """Notify the user why a job failed. Raises Undeliverable, MessageDeleted, Dropped, discord.HTTPException."""

        def view(judgement: Judgement) -> ui.LayoutView:
            return messages.failed(job, messages.explain_reason(reason), quoted=not judgement.words_refused)

        await self._post(job, _JobUpdate(ENDED, view))
        await self._database.jobs.mark_notified(job.id)

    async def _try_to_edit(
        self, job: Job, view: ui.LayoutView, files: Files, *, with_files: bool, is_progress: bool
    ) -> bool:
        try:
            await self._editor.edit(job, view, files, with_files=with_files, is_progress=is_progress)
        except (discord.HTTPException, MessageOutOfReach, Dropped, aiohttp.ClientError, OSError) as error:
            logger.info("its message could not be edited (%s)", error)
            return False
        return True

    async def _post_in_any_size(self, job: Job, renders: Sequence[Render]) -> Posted:
        try:
            return await self._post_images(job, renders)
        except discord.HTTPException as error:
            if not is_too_large(error):
                raise
            logger.info("too large for Discord, so it is re-encoded")
        smaller = await asyncio.to_thread(lambda: [_smaller(render) for render in renders])
        try:
            return await self._post_images(job, smaller, made_smaller=True)
        except discord.HTTPException as error:
            if not is_too_large(error):
                raise
            raise Undeliverable(messages.TOO_LARGE_FOR_DISCORD) from error

    async def _post_images(self, job: Job, renders: Sequence[Render], *, made_smaller: bool = False) -> Posted:
        parent = None
        if job.parent_picture_id is not None:
            parent = await self._database.images.get(job.parent_picture_id)
        parent_url = message_url(self._client, parent)

        def view(judgement: Judgement) -> ui.LayoutView:
            shown = [_apply_judgement(render, judgement) for render in renders]
            notes = say(messages.MADE_SMALLER) if made_smaller else ""
            names = [_attachment_name(render) for render in shown]
            return messages.finished(job, [render.image for render in shown], names, parent_url, notes)

        def files(judgement: Judgement) -> list[discord.File]:
            shown = (_apply_judgement(render, judgement) for render in renders)
            return [discord.File(io.BytesIO(render.content), _attachment_name(render)) for render in shown]

        return await self._post(job, _JobUpdate(DRAWN, view, files, tuple(renders)))

    async def _post(self, job: Job, news: _JobUpdate) -> Posted:
        """Try the job's own message, then a new one in its channel, then a private one, where the rules allow it."""
        if job.reposted and news.images and (before := await self._find_repost(job)) is not None:
            return before
        refusal: str | None = None
        place = await self._places.channel_of(job)
        if place is None:
            self._routes.close(job, DeliveryRoute.TOKEN, DeliveryRoute.MESSAGE, DeliveryRoute.CHANNEL)
        else:
            with speaking(messages.message_locale(job)):
                judgement = await self._judge(job, place, news)
            refusal = judgement.refusal if news.images else None
            if refusal is None and (there := await self._post_in_channel(job, news, judgement)) is not None:
                return there
        with speaking(job.locale):
            judgement = await self._judge(job, self._places.person_of(job), news)
        if news.images and judgement.refusal is not None:
            raise NoLongerAllowed(refusal or judgement.refusal)
        with speaking(job.locale):
            view = news.view(judgement)
        sent = await self._send_new(job, DeliveryRoute.PERSON, news, judgement, view)
        if sent is not None:
            return replace(sent, in_private=True)
        if refusal is not None:
            raise NoLongerAllowed(refusal)
        raise Undeliverable(messages.OUT_OF_REACH)

    async def _post_in_channel(self, job: Job, news: _JobUpdate, judgement: Judgement) -> Posted | None:
        """Post in the job's own message, or else in a new one in its channel. Returns None if neither is possible."""
        with speaking(messages.message_locale(job)):
            view = news.view(judgement)
        files = news.files_for(judgement)
        try:
            return await self._editor.edit(job, view, files, with_files=news.has_files)
        except MessageOutOfReach:
            logger.info("its message cannot be reached")
        sent = await self._send_new(job, DeliveryRoute.CHANNEL, news, judgement, view)
        if sent is not None:
            self._routes.note_new_message(job)
        return sent

    async def _send_new(
        self, job: Job, route: DeliveryRoute, news: _JobUpdate, judgement: Judgement, view: ui.LayoutView
    ) -> Posted | None:
        """Send a new message in the job's channel or to its user. Returns None if that is not possible.

        If Discord blocks the prompt in a text, the text is sent without it.
        """
        for quoted in (True, False) if not news.images else (True,):
            if not self._routes.is_open(job, route, with_files=news.has_files, with_content=quoted):
                continue
            try:
                if route is DeliveryRoute.PERSON:
                    to: discord.abc.Messageable = await self._client.create_dm(discord.Object(job.user_id))
                else:
                    to = self._client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
                shown = view if quoted else without_quotes(view)
                return await self._post_new(to, job, shown, news.files_for(judgement), news.purpose)
            except discord.HTTPException as error:
                if not is_out_of_reach(error):
                    raise
                self._routes.close_after(job, route, error, with_files=news.has_files)
                logger.info("no new message could be sent by the route %s (%s)", route.name, error)
        return None

    async def _may_show_words(self, job: Job) -> bool:
        """Whether a job's prompt may be shown in its channel now. False if that cannot be determined."""
        try:
            place = await self._places.channel_of(job)
            return place is not None and not (await self._places.judge(job, place)).words_refused
        except LOOKUP_ERRORS:
            return False

    async def _judge(self, job: Job, place: ChannelContext, news: _JobUpdate) -> Judgement:
        try:
            return await self._places.judge(job, place, [render.image for render in news.images])
        except ValueError:
            if news.images:
                raise
            return Judgement(words_refused=True)  # the job will fail anyway, because it cannot be read

    async def _post_new(
        self, to: discord.abc.Messageable, job: Job, view: ui.LayoutView, files: Files, purpose: str
    ) -> Posted:
        """Send a new message that mentions the user, so that they notice it. Raises MessageDeleted."""
        before = await self._find_post(to, job)
        if before is not None:
            return before
        await self._database.jobs.mark_reposted(job.id)
        nonce = f"{purpose}-{job.interaction_id}"  # a job of another database may have the same number
        assert len(nonce) <= MAX_NONCE_LENGTH
        try:
            return posted(await to.send(view=view, files=files(), nonce=nonce, allowed_mentions=allowed_mentions(job)))
        except discord.HTTPException as error:
            if error.code == UNKNOWN_MESSAGE:  # a message with this nonce was posted and then deleted
                raise MessageDeleted from error
            raise

    async def _find_repost(self, job: Job) -> Posted | None:
        """Find a new message posted before a restart, when the job's own message could not be edited."""
        channel = self._client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
        for is_private in (True,) if job.private or JobSpec.is_by_token_only(job) else (False, True):
            try:
                place = await self._client.create_dm(discord.Object(job.user_id)) if is_private else channel
                before = await self._find_post(place, job)
            except discord.HTTPException as error:
                if not is_out_of_reach(error):
                    raise
            else:
                if before is not None:
                    return replace(before, in_private=is_private)
        return None

    async def _find_post(self, to: discord.abc.Messageable, job: Job) -> Posted | None:
        """Find what an earlier attempt posted without recording it: the answer was lost, or the process was killed.

        The time is taken from the interaction's id, because this machine's clock may be hours off.
        """
        since = discord.Object(job.interaction_id)
        async for message in to.history(limit=SCAN_LIMIT, after=since, oldest_first=False):
            if message.author == self._client.user and _shows_images_of(job, message):
                logger.info("its images have been posted already")
                return posted(message)
        return None

    async def _retract(self, job: Job, place: Posted) -> None:
        """Delete a new message whose job was cancelled while it was sent. The job's own message says so."""
        if place.message_id == job.message_id or (job.private and not place.in_private):
            return
        channel = self._client.get_partial_messageable(place.channel_id)
        try:
            await independent_task(lambda: channel.get_partial_message(place.message_id).delete())
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.info("a message that was posted too late could not be deleted (%s)", error)


def _shows_images_of(job: Job, message: discord.Message) -> bool:
    """Whether a message has the job's buttons and answers its request; another database may have the same job id."""
    request = message.interaction_metadata
    return shows_images_of(job.id, message) and (request is None or request.id == job.interaction_id)


def _apply_judgement(render: Render, judgement: Judgement) -> Render:
    return replace(render, image=replace(render.image, spoiler=True)) if judgement.hidden else render


def _attachment_name(render: Render) -> str:
    return (messages.SPOILER if render.image.spoiler else "") + render.image.file_name


def _smaller(render: Render) -> Render:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(render.content)).save(
        buffer, "WEBP", quality=SMALLER_QUALITY, method=4, exif=exif_of(render.content)
    )
    name = render.image.file_name.removesuffix(".png") + ".webp"
    return replace(render, image=replace(render.image, file_name=name), content=buffer.getvalue())
