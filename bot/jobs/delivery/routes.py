"""The routes to a job's message and its user: which are open, and what Discord's answers say about them.

A route that Discord has closed is not tried again for that job: every 401, 403 and 429 counts towards a ban, and a
deleted channel stays deleted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any

import discord
from discord import ui

from bot.generation.spec import JobSpec
from bot.jobs.delivery.refusals import (
    CONTENT_BLOCKED,
    MISSING_PERMISSIONS,
    THREAD_ARCHIVED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    UPLOADS_LIMITED,
    MessageDeleted,
    OldMessageRefused,
    is_out_of_reach,
)
from bot.jobs.delivery.request_budget import ChannelBudget, RequestBudget, Urgency
from bot.jobs.servers.lookup import ServerLookup
from bot.messages.attachments import media_of
from bot.messages.layout import without_quotes
from bot.messages.limits import TOKEN_LIFETIME
from storage.jobs import Job

Files = Callable[[], list[discord.File]]

#: How many jobs' closed routes are remembered.
CACHED_JOBS = 10_000
#: Discord allows few edits of a message older than an hour, so progress uses none of them. The age is measured from
#: when the job was accepted, by this machine's clock, which may differ from Discord's. A request that was resumed may
#: have been accepted up to TOKEN_LIFETIME after its message was created.
MAX_EDIT_AGE = timedelta(minutes=55) - TOKEN_LIFETIME


class DeliveryRoute(Enum):
    TOKEN = auto()
    #: By the ids of channel and message.
    MESSAGE = auto()
    #: A new message in the channel.
    CHANNEL = auto()
    #: A private message.
    PERSON = auto()


class MessageOutOfReach(Exception):
    """No route to the job's message is open any more."""

    def __str__(self) -> str:
        return "no route to its message is open"


@dataclass(frozen=True)
class Posted:
    channel_id: int
    message_id: int
    attachment_ids: Sequence[int]  # of the images, in their order
    in_private: bool = False  # in a private message, which no server has


@dataclass
class _ClosedRoutes:
    """`routes`: closed to everything. `to_files`: closed only to messages with files. `to_content`: closed only to the
    job's prompt and images. `archived`: closed until the thread is reopened. `deleted`: somebody deleted the message.
    """

    routes: set[DeliveryRoute]
    to_files: set[DeliveryRoute] = field(default_factory=set)
    to_content: set[DeliveryRoute] = field(default_factory=set)
    archived: set[DeliveryRoute] = field(default_factory=set)
    deleted: bool = False


class DeliveryRoutes:
    """`refused` is called when Discord closes a route."""

    def __init__(self, refused: Callable[[Job, Exception], None]) -> None:
        self._refused = refused
        self._closed: OrderedDict[int, _ClosedRoutes] = OrderedDict()

    def is_open(self, job: Job, route: DeliveryRoute, *, with_files: bool = False, with_content: bool = True) -> bool:
        """Whether a route is open to such a message. `with_content`: it has the job's prompt or images."""
        closed = self._of(job)
        return (
            route not in closed.routes
            and not (with_files and route in closed.to_files)
            and not (with_content and route in closed.to_content)
        )

    def close(self, job: Job, *routes: DeliveryRoute) -> None:
        self._of(job).routes.update(routes)

    def close_after(self, job: Job, route: DeliveryRoute, error: Exception, *, with_files: bool) -> None:
        """Close a route after an error; if possible, only to the kind of message that Discord refused."""
        self._refused(job, error)
        closed, code = self._of(job), _code(error)
        if code == UNKNOWN_CHANNEL and route is not DeliveryRoute.PERSON:
            self.close(job, DeliveryRoute.MESSAGE, DeliveryRoute.CHANNEL)
        if code in CONTENT_BLOCKED and route not in closed.to_content:
            closed.to_content.add(route)
        elif code in (MISSING_PERMISSIONS, UPLOADS_LIMITED) and with_files:
            closed.to_files.add(route)
        else:
            closed.routes.add(route)
        if code == THREAD_ARCHIVED:
            closed.archived.add(route)

    def takes_plain_text(self, job: Job) -> bool:
        """Whether only the job's prompt and images are blocked in its message."""
        closed = self._of(job)
        own = {DeliveryRoute.TOKEN, DeliveryRoute.MESSAGE}
        return not own.isdisjoint(closed.to_content - closed.routes)

    def note_new_message(self, job: Job) -> None:
        """Open the routes again that an archived thread closed: a new message has reopened the thread."""
        closed = self._of(job)
        closed.routes -= closed.archived
        closed.archived.clear()

    def note_deletion(self, job: Job) -> None:
        self._of(job).deleted = True

    def is_deleted(self, job: Job) -> bool:
        return self._of(job).deleted

    def _of(self, job: Job) -> _ClosedRoutes:
        if job.id not in self._closed:
            routes = set() if job.interaction_token else {DeliveryRoute.TOKEN}
            if job.private or JobSpec.is_by_token_only(job):
                routes |= {DeliveryRoute.MESSAGE, DeliveryRoute.CHANNEL}
            elif job.message_id is None:
                routes.add(DeliveryRoute.MESSAGE)
            self._closed[job.id] = _ClosedRoutes(routes)
        self._closed.move_to_end(job.id)
        if len(self._closed) > CACHED_JOBS:
            self._closed.popitem(last=False)
        return self._closed[job.id]


class MessageEditor:
    """Edits a job's message: by the interaction's token while it is valid, then by channel and message id.

    Edits by token have a rate limit of their own and leave the channel's to others. A token is always tried first:
    Discord's answer, not this machine's clock, says whether it has expired.
    """

    def __init__(
        self, client: discord.Client, servers: ServerLookup, routes: DeliveryRoutes, requests: RequestBudget
    ) -> None:
        self._client = client
        self._servers = servers
        self._routes = routes
        self._requests = requests
        self._edits = ChannelBudget()

    async def edit(
        self, job: Job, view: ui.LayoutView, files: Files, *, with_files: bool, is_progress: bool = False
    ) -> Posted:
        """Raises MessageOutOfReach, MessageDeleted, discord.HTTPException.

        is_progress: anything else goes first, and the edit is sent only while Discord's limits have room for it.
        If Discord blocks the prompt in a text, the text is shown without it.
        """
        try:
            return await self._edit(job, view, files, with_files=with_files, is_progress=is_progress)
        except MessageOutOfReach:
            if with_files or not self._routes.takes_plain_text(job):
                raise
        view = without_quotes(view)
        return await self._edit(job, view, files, with_files=False, is_progress=is_progress, with_content=False)

    async def _edit(
        self,
        job: Job,
        view: ui.LayoutView,
        files: Files,
        *,
        with_files: bool,
        is_progress: bool,
        with_content: bool = True,
    ) -> Posted:
        if self._routes.is_deleted(job):  # an earlier edit noticed it, and the cancellation is still being recorded
            raise MessageDeleted
        deleted = False
        kind = {"with_files": with_files, "with_content": with_content}
        if self._routes.is_open(job, DeliveryRoute.TOKEN, **kind):
            try:
                return await self._edit_by_token(job, view, files)
            except (discord.HTTPException, OldMessageRefused) as error:
                if not is_out_of_reach(error):
                    raise
                self._routes.close_after(job, DeliveryRoute.TOKEN, error, with_files=with_files)
                deleted = _code(error) == UNKNOWN_MESSAGE
        if self._routes.is_open(job, DeliveryRoute.MESSAGE, **kind):
            if is_progress and not deleted:
                if not self._has_room(job):
                    raise MessageOutOfReach
                await self._requests.spend(Urgency.PROGRESS)
            try:
                return await self._edit_by_id(job, view, files)
            except (discord.HTTPException, OldMessageRefused) as error:
                if not is_out_of_reach(error):
                    raise
                self._routes.close_after(job, DeliveryRoute.MESSAGE, error, with_files=with_files)
                if _code(error) == UNKNOWN_CHANNEL:
                    raise MessageOutOfReach from error
                deleted = deleted or _code(error) == UNKNOWN_MESSAGE
        elif deleted and await self._channel_is_gone(job):
            self._routes.close(job, DeliveryRoute.CHANNEL)
            raise MessageOutOfReach
        if deleted:
            self._routes.note_deletion(job)
            raise MessageDeleted
        raise MessageOutOfReach

    def _has_room(self, job: Job) -> bool:
        is_new = discord.utils.utcnow() - job.queued_at < MAX_EDIT_AGE
        return is_new and self._edits.take(job.channel_id)

    async def _channel_is_gone(self, job: Job) -> bool:
        """Whether the channel was deleted. Its messages are gone too then, but that does not count as deleting them."""
        if job.guild_id is None:
            return False
        try:
            # If the bot is not a member, it sees no channel of the server.
            return (
                await self._servers.is_member(job.guild_id)
                and await self._servers.place(job.guild_id, job.channel_id) is None
            )
        except discord.HTTPException:
            return False

    async def _edit_by_id(self, job: Job, view: ui.LayoutView, files: Files) -> Posted:
        assert job.message_id is not None
        channel = self._client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
        message = channel.get_partial_message(job.message_id)
        return posted(await message.edit(content=None, view=view, attachments=files()))

    async def _edit_by_token(self, job: Job, view: ui.LayoutView, files: Files) -> Posted:
        assert self._client.application_id is not None and job.interaction_token is not None
        webhook = discord.Webhook.partial(self._client.application_id, job.interaction_token, client=self._client)
        original: Any = "@original"  # discord.py's types allow only ids
        # Replaces text that another process with this token may have set.
        without_text: Any = {"content": None}
        message = await webhook.edit_message(
            original, view=view, attachments=files(), allowed_mentions=allowed_mentions(job), **without_text
        )
        return replace(posted(message), channel_id=job.channel_id)


def allowed_mentions(job: Job) -> discord.AllowedMentions:
    return discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(job.user_id)])


def posted(message: discord.Message) -> Posted:
    attachments = [media.attachment_id for media in media_of(message) if media.attachment_id is not None]
    return Posted(message.channel.id, message.id, attachments)


def _code(error: Exception) -> int | None:
    return error.code if isinstance(error, discord.HTTPException) else None
