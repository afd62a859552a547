"""Posts images in servers' galleries and removes them: each image at most once, even if the bot is killed meanwhile.

An image's row in `storage.gallery.shares` is written before its post. The post has a nonce made from the row's id and
time, which Discord enforces for some minutes. Its buttons contain the row's id, so an earlier attempt can be found.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from weakref import WeakValueDictionary

import discord

from bot.generation.spec import JobImage
from bot.jobs.delivery.outbox import retry, retry_storage
from bot.jobs.delivery.places import Judgement, Places
from bot.jobs.delivery.refusals import (
    CONTENT_BLOCKED,
    MISSING_ACCESS,
    MISSING_PERMISSIONS,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    is_out_of_reach,
    is_temporary,
    is_too_large,
)
from bot.jobs.delivery.request_budget import Urgency
from bot.jobs.delivery.transmission import Dropped, Transmission
from bot.jobs.servers.lookup import ServerLookup
from bot.messages.buttons import is_gallery_post
from bot.messages.details import job_url
from bot.messages.gallery.post import gallery_post
from bot.messages.job import SPOILER, TOO_LARGE_FOR_DISCORD
from bot.messages.limits import MAX_NONCE_LENGTH
from bot.ops.background import cancel
from bot.ops.logs import job_log_context
from bot.rules.image_policy import ImagePolicy
from bot.rules.server_settings import load_server_settings
from bot.text.languages import speaking
from bot.text.translation import N_, say
from storage.backend.drawing_claim import ClaimLost
from storage.backend.errors import StorageUnavailable
from storage.database import Database
from storage.gallery.shares import Share
from storage.images import Image

logger = logging.getLogger(__name__)

#: How many messages of a gallery are searched for an earlier attempt.
SCAN_LIMIT = 300
#: How much older than its row a post may seem, because this machine's clock and Discord's may differ.
CLOCK_SKEW = timedelta(days=1)

NO_GALLERY = N_("This server has no gallery. A server admin can choose a channel for it with `/anima-admin`.")
GALLERY_GONE = N_("The gallery's channel is gone. Ask a server admin to choose another one.")
CANNOT_POST = N_(
    "I can't post pictures in {channel}. Ask a server admin to give me **View Channel**, **Send Messages** and "
    "**Attach Files** there."
)
GALLERY_REFUSED = N_("Discord didn't accept the picture in {channel}. The channel may be archived or locked.")
BLOCKED_THERE = N_("Discord's filters don't allow this picture in {channel}.")
NOT_ALLOWED_THERE = N_("This picture can't be shared in {channel}: {reason}")
NEVER_CHECKED = N_("it was drawn for an age-restricted channel and was never checked by the server's classifier.")
NO_LONGER_THERE = N_("This picture was deleted from the history, so it can't be shared.")

FileOf = Callable[[], Awaitable[bytes]]


class NotShared(Exception):
    """An image cannot be shared. The message says why, in the user's language."""


@dataclass(frozen=True)
class SharedImage:
    """`is_new`: False if it had already been posted earlier."""

    share: Share
    url: str
    is_new: bool


@dataclass(frozen=True)
class ShareRequest:
    """`shown`: the image's job, and how it was made. `image`: as stored. `file`: fetches its file.

    by: the id of the user who shares it. locale: of the server.
    """

    shown: JobImage
    image: Image
    file: FileOf
    by: int
    guild_id: int
    locale: str


class Gallery:
    def __init__(
        self, client: discord.Client, database: Database, servers: ServerLookup, image_policy: ImagePolicy
    ) -> None:
        self._client = client
        self._database = database
        self._shares = database.shares
        self._servers = servers
        self._image_policy = image_policy
        self._places = Places(servers, database, image_policy)
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._removing: asyncio.Task[None] | None = None
        self._deleted: set[int] = set()  # deleted messages of erased users, until `removed_erased` has counted them
        self._more_erased = False
        database.privacy.watch_erasures(lambda user_id: self.remove_erased())

    async def share(self, request: ShareRequest) -> SharedImage:
        """Post an image in its server's gallery, unless it is there. Raises NotShared, ClaimLost, UnusableImage."""
        lock = self._locks.setdefault(request.image.id, asyncio.Lock())
        with job_log_context(request.shown.job.id):
            async with lock:
                posting = retry(lambda: self._share(request), is_temporary)
                transmission = Transmission(posting, f"share-{request.image.id}", Urgency.OTHER)
                try:
                    return await transmission.task
                except Dropped:
                    raise ClaimLost("Another bot may be drawing on this database.") from None

    async def remove(self, share: Share) -> bool:
        """Delete a post; waits while Discord cannot be reached. Returns False if the bot has no access to it."""
        return await retry(partial(self._remove, share), is_temporary)

    async def _remove(self, share: Share) -> bool:
        message_id = share.message_id
        if message_id is None:
            found = await self._find_post(share)
            message_id = None if found is None else found.id
        if message_id is not None and not await self._delete(share, message_id):
            return False
        await self._shares.end(share.id)
        return True

    async def remove_of_job(self, job_id: int) -> None:
        """Delete the posts of all of a job's images, as far as the bot can reach them."""
        for share in await self._shares.of_job(job_id):
            await self.remove(share)

    def remove_erased(self) -> None:
        """Delete the messages of users whose data was erased, in the background. The next start deletes what is left.

        These are their posts, and the messages of their images if they wished.
        """
        self._more_erased = True
        if self._removing is None or self._removing.done():
            self._removing = asyncio.create_task(self._remove_erased(), name="gallery")

    async def removed_erased(self, message_ids: Collection[int]) -> int:
        """Wait until these messages of an erased user are deleted, or the bot stops. Returns how many were deleted."""
        self.remove_erased()
        while self._removing is not None and not self._removing.done():
            await asyncio.wait([self._removing])
        deleted = self._deleted.intersection(message_ids)
        self._deleted -= deleted
        return len(deleted)

    async def close(self) -> None:
        await cancel([self._removing])

    async def _remove_erased(self) -> None:
        while self._more_erased:
            self._more_erased = False
            closed: set[int] = set()  # channels without access; another request there would count towards a ban
            for share in await retry_storage(self._shares.erased):
                if share.channel_id in closed or not await self._try_to_remove(share):
                    closed.add(share.channel_id)
                elif share.message_id is not None:
                    self._deleted.add(share.message_id)
                await retry_storage(partial(self._shares.end, share.id))

    async def _try_to_remove(self, share: Share) -> bool:
        try:
            return await retry(partial(self._remove, share), _is_temporary)
        except discord.HTTPException as error:
            logger.warning("a message of an erased user could not be deleted (%s)", error)
            return False

    async def _share(self, request: ShareRequest) -> SharedImage:
        settings = await load_server_settings(self._database.servers, request.guild_id)
        channel_id = settings.gallery_channel_id
        if channel_id is None:
            raise NotShared(say(NO_GALLERY))
        share = await self._shares.of_image(request.image.id)
        if share is not None and (there := await self._already_posted(share)) is not None:
            return SharedImage(share, there, is_new=False)
        if share is not None and (share.message_id is not None or share.channel_id != channel_id):
            await self._shares.end(share.id)  # its post is gone, or was never made and the gallery has moved
            share = None
        try:
            judgement = await self._judge(request, channel_id)
            content = await request.file()
        except NotShared:
            if share is not None:
                await self._shares.end(share.id)
            raise
        share = share or await self._shares.begin(
            request.image.id, by=request.by, guild_id=request.guild_id, channel_id=channel_id
        )
        if share is None:
            raise NotShared(say(NO_LONGER_THERE))
        return await self._post(request, share, content, hidden=judgement.hidden or request.shown.job.spoiler)

    async def _already_posted(self, share: Share) -> str | None:
        """The URL of an image's post, if there is one. Records the post if that was missed."""
        channel = self._client.get_partial_messageable(share.channel_id, guild_id=share.guild_id)
        if share.message_id is None:
            found = await self._find_post(share)
            if found is None:
                return None
            await retry_storage(lambda: self._shares.posted(share.id, found.id))
            return channel.get_partial_message(found.id).jump_url
        try:
            await channel.fetch_message(share.message_id)
        except discord.HTTPException as error:
            if error.code in (UNKNOWN_CHANNEL, UNKNOWN_MESSAGE):
                return None
            if not is_out_of_reach(error):
                raise
        return channel.get_partial_message(share.message_id).jump_url

    async def _find_post(self, share: Share) -> discord.Message | None:
        """Find a post whose sending was not recorded."""
        channel = self._client.get_partial_messageable(share.channel_id, guild_id=share.guild_id)
        since = await self._begun(share)
        try:
            async for message in channel.history(limit=SCAN_LIMIT, after=since, oldest_first=False):
                if message.author == self._client.user and is_gallery_post(share.id, message):
                    return message
        except discord.HTTPException as error:
            if not is_out_of_reach(error):
                raise
        return None

    async def _begun(self, share: Share) -> discord.Object | datetime:
        """A time before a share's post. It excludes a post of the same number from before the database was lost."""
        image = None if share.image_id is None else await self._database.images.get(share.image_id)
        job = None if image is None else await self._database.jobs.get(image.job_id)
        return share.shared_at - CLOCK_SKEW if job is None else discord.Object(job.interaction_id)

    async def _judge(self, request: ShareRequest, channel_id: int) -> Judgement:
        """How the image may be shown in the gallery, by the rules that apply there now. Raises NotShared."""
        mention = f"<#{channel_id}>"
        try:
            place = await self._servers.place(request.guild_id, channel_id)
        except discord.HTTPException as error:
            if error.status not in (401, 403, 404):
                raise
            raise NotShared(say(CANNOT_POST, channel=mention)) from error
        if place is None:
            raise NotShared(say(GALLERY_GONE))
        judgement = await self._places.judge(request.shown.job, place, (request.image,))
        reason = judgement.refusal
        if reason is None and not judgement.may_be_explicit and self._was_never_checked(request):
            reason = say(NEVER_CHECKED)
        if reason is not None:
            raise NotShared(say(NOT_ALLOWED_THERE, channel=mention, reason=reason))
        return judgement

    def _was_never_checked(self, request: ShareRequest) -> bool:
        """Whether the classifier's rules were not applied when the image was drawn, and its labels are unknown."""
        is_set = bool(self._image_policy.hides or self._image_policy.refuses)
        return is_set and request.shown.spec.age_restricted and request.image.labels is None

    async def _post(self, request: ShareRequest, share: Share, content: bytes, *, hidden: bool) -> SharedImage:
        channel = self._client.get_partial_messageable(share.channel_id, guild_id=share.guild_id)
        name = (SPOILER if hidden else "") + _file_name(request.image, content)
        job = request.shown.job
        url = job_url(self._client, job) if job.guild_id == request.guild_id else None
        nonce = f"{share.id}-{share.shared_at.timestamp() * 1000:.0f}"[:MAX_NONCE_LENGTH]
        for quoted in (True, False):
            with speaking(request.locale):
                view = gallery_post(
                    share.id, request.shown, request.image, name, hidden=hidden, original_url=url, quoted=quoted
                )
            try:
                message = await channel.send(view=view, files=[discord.File(io.BytesIO(content), name)], nonce=nonce)
                break
            except discord.HTTPException as error:
                if is_temporary(error):
                    raise
                if quoted and error.code in CONTENT_BLOCKED:
                    continue
                await self._shares.end(share.id)
                if error.code == UNKNOWN_MESSAGE:  # a post with this nonce was made and then deleted
                    return await self._share(request)
                logger.info("it could not be posted in the gallery (%s)", error)
                raise NotShared(_explained(error, share.channel_id)) from error
        if not await retry_storage(lambda: self._shares.posted(share.id, message.id)):
            await self._delete(share, message.id)
            raise NotShared(say(NO_LONGER_THERE))
        return SharedImage(share, message.jump_url, is_new=True)

    async def _delete(self, share: Share, message_id: int) -> bool:
        """Delete a post. Returns whether it is gone now. Raises discord.HTTPException, aiohttp.ClientError, OSError."""
        channel = self._client.get_partial_messageable(share.channel_id, guild_id=share.guild_id)
        try:
            await channel.get_partial_message(message_id).delete()
        except discord.HTTPException as error:
            if error.code in (UNKNOWN_CHANNEL, UNKNOWN_MESSAGE):
                return True
            if not is_out_of_reach(error):
                raise
            logger.info("post %d could not be deleted (%s)", message_id, error)
            return False
        return True


def _explained(error: discord.HTTPException, channel_id: int) -> str:
    if error.code == UNKNOWN_CHANNEL:
        return say(GALLERY_GONE)
    if is_too_large(error):
        return say(TOO_LARGE_FOR_DISCORD)
    if error.code in CONTENT_BLOCKED:
        return say(BLOCKED_THERE, channel=f"<#{channel_id}>")
    forbidden = error.code in (MISSING_PERMISSIONS, MISSING_ACCESS)
    return say(CANNOT_POST if forbidden else GALLERY_REFUSED, channel=f"<#{channel_id}>")


def _file_name(image: Image, content: bytes) -> str:
    """The name of an image's file. If the PNG was too large for Discord, the file is a WebP."""
    stem = image.file_name.rpartition(".")[0] or image.file_name
    return f"{stem}.webp" if content[8:12] == b"WEBP" else image.file_name


def _is_temporary(error: Exception) -> bool:
    return isinstance(error, StorageUnavailable) or is_temporary(error)
