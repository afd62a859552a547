"""Shows each job's progress in its message: first its position in the queue, then how much is drawn.

A message is edited at most every few seconds, one edit at a time, and never after `end` has returned, so a late edit
cannot overwrite a finished image. A newer edit or the result drops an edit that was not sent yet, so results never wait
for progress.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import discord
from PIL import Image

from bot.generation.spec import JobSpec
from bot.jobs.delivery.delivery import Delivery
from bot.jobs.delivery.refusals import MessageDeleted
from bot.jobs.delivery.request_budget import Urgency
from bot.jobs.delivery.transmission import Dropped, Transmission
from bot.messages import job as messages
from bot.messages.job import QueueStatus
from bot.messages.limits import TOKEN_LIFETIME
from bot.text.discord_clock import discord_clock
from bot.text.languages import speaking
from bot.text.translation import say
from storage.jobs import Job

logger = logging.getLogger(__name__)

#: Seconds between two edits of one message.
EDIT_INTERVAL = 3.0
EDIT_BATCH_SIZE = 5
#: How many messages of queued jobs are edited at the same time, unless an edit is urgent. After a restart thousands of
#: jobs may be queued; each edit takes a connection, and a process may open only about a thousand files and connections.
MAX_PENDING_EDITS = 50
#: How many queued jobs are checked per round, so that a long queue costs no more than a short one.
SCAN_LIMIT = 25
#: Seconds by which the estimated time must change before the message is edited.
READY_TOLERANCE = 15.0
PREVIEW_SIDE = 768
#: Seconds to wait for Discord's answer to an edit already sent, before the result is sent anyway.
EDIT_TIMEOUT = 2.0
#: Age at which a job's message says that the images will come as a private message, if it can be edited only by the
#: interaction's token: it is ephemeral, or the bot is not a member there. The token is valid for fifteen minutes.
TOKEN_WARNING_AGE = timedelta(minutes=13, seconds=30)


@dataclass(frozen=True)
class JobProgress:
    """`fraction` of the whole job is done; the images being drawn are at `step` of `steps`.

    previews: of those of the job's images that have one so far.
    """

    fraction: float
    step: int
    steps: int
    previews: Sequence[Image.Image] = ()


@dataclass
class _Shown:
    job: Job
    due: float = 0.0  # when the next edit may be made, on the monotonic clock
    edit: Transmission[bool] | None = None
    queue_status: QueueStatus | None = None  # what the message says
    progress: JobProgress | None = None
    warned: bool = False  # that the token ends soon

    def __post_init__(self) -> None:
        is_by_token_only = self.job.private or JobSpec.is_by_token_only(self.job)
        self.by_token_only = is_by_token_only and self.job.interaction_token is not None
        self.asked_at = discord.utils.snowflake_time(self.job.interaction_id)

    def may_be_edited(self, now: float) -> bool:
        """Whether a new edit may start. Drops an earlier edit that was not sent yet."""
        return now >= self.due and (self.edit is None or self.edit.done or self.edit.drop_unsent())

    def token_expires_soon(self, now: datetime) -> bool:
        """Called for every unfinished job every few seconds, so it has to be fast."""
        if not self.by_token_only:
            return False
        if now - self.job.queued_at >= TOKEN_WARNING_AGE:
            return True
        # A request that was resumed after a restart is older than its job.
        return TOKEN_WARNING_AGE <= discord_clock.at(now) - self.asked_at < TOKEN_LIFETIME


@dataclass
class StatusMessages:
    delivery: Delivery
    #: None for a job that is not queued.
    queue_status: Callable[[Job], QueueStatus | None]
    previews: bool = True
    #: Called with a job whose message was found to be deleted.
    deleted: Callable[[Job], None] = lambda job: None
    #: Whether a job is still queued; faster than `queue_status`.
    is_queued: Callable[[int], bool] = lambda job_id: True
    _waiting: OrderedDict[int, _Shown] = field(default_factory=OrderedDict)  # the least recently checked first
    _drawn: dict[int, _Shown] = field(default_factory=dict)
    #: For jobs whose messages are still loading: whether they ever showed anything.
    _first_edits: dict[int, asyncio.Future[bool]] = field(default_factory=dict)
    #: Jobs whose messages are not up to date, because many others are being edited.
    _deferred: dict[int, None] = field(default_factory=dict)
    _pending_edits: set[asyncio.Task[bool]] = field(default_factory=set)  # edits that show queued jobs
    _ended: bool = False

    def note_queued(self, job: Job, *, at_once: bool = True) -> asyncio.Future[bool]:
        """Show a queued job's position in its message, now and from time to time.

        `at_once`: even if many other messages are being edited.

        Returns whether the message ever shows anything, once that is known.
        """
        shown = self._waiting[job.id] = self._drawn.pop(job.id) if job.id in self._drawn else _Shown(job)
        shown.progress = None
        first_edit = self._first_edits.setdefault(job.id, asyncio.get_running_loop().create_future())
        if at_once or len(self._pending_edits) < MAX_PENDING_EDITS:
            self._show_first(shown)
        else:
            self._deferred[job.id] = None
        return first_edit

    def _show_first(self, shown: _Shown) -> None:
        if not shown.may_be_edited(time.monotonic()) or not self._show_queue_status(shown):
            self.note_shown(shown.job.id, False)

    def _show_deferred(self) -> None:
        while self._deferred and len(self._pending_edits) < MAX_PENDING_EDITS:
            job_id = next(iter(self._deferred))
            del self._deferred[job_id]
            if job_id in self._waiting:
                self._show_first(self._waiting[job_id])

    def note_shown(self, job_id: int, shown: bool) -> None:
        """Record that a job's message shows something now, or never will."""
        first_edit = self._first_edits.pop(job_id, None)
        if first_edit is not None and not first_edit.done():
            first_edit.set_result(shown)

    def note_progress(self, job: Job, progress: JobProgress) -> None:
        """Record a job's progress."""
        if self._ended:
            return
        shown = self._drawn.get(job.id) or self._waiting.pop(job.id, None) or _Shown(job)
        self._drawn[job.id] = shown
        shown.progress = progress
        if shown.may_be_edited(time.monotonic()):
            self._begin(shown, self._show_progress(shown, progress))

    async def end(self, job_id: int) -> bool:
        """Show no more progress of a job. Waits only for an edit already sent.

        False: that edit got no answer and may still take effect.
        """
        shown = self._waiting.pop(job_id, None) or self._drawn.pop(job_id, None)
        if shown is None or shown.edit is None or shown.edit.done:
            return True
        return await shown.edit.drop(EDIT_TIMEOUT)

    def forget(self) -> None:
        """Stop all progress without a notice. Edits already sent may still arrive."""
        for shown in (*self._drawn.values(), *self._waiting.values()):
            if shown.edit is not None:
                shown.edit.drop_unsent()
            self.note_shown(shown.job.id, False)
        self._deferred.clear()
        self._drawn.clear()
        self._waiting.clear()

    async def interrupt_waiting(self) -> None:
        """Say in the messages of queued jobs that they continue after a restart, and stop updating them."""
        await self._interrupt([shown for job_id, shown in self._waiting.items() if self.is_queued(job_id)])

    async def interrupt_all(self) -> None:
        """The same, also for jobs whose drawing was interrupted. No progress is shown afterwards."""
        self._ended = True
        await self._interrupt([*self._drawn.values(), *self._waiting.values()])

    async def _interrupt(self, shown: Sequence[_Shown]) -> None:
        for each in shown:
            self._waiting.pop(each.job.id, None)
            self._drawn.pop(each.job.id, None)
        for first in range(0, len(shown), EDIT_BATCH_SIZE):
            await asyncio.gather(*map(self._show_interruption, shown[first : first + EDIT_BATCH_SIZE]))

    async def _show_interruption(self, shown: _Shown) -> None:
        if shown.edit is not None:
            await shown.edit.drop(EDIT_TIMEOUT)
        self.note_shown(shown.job.id, False)
        with speaking(messages.message_locale(shown.job)):
            view = messages.interruption_notice(shown.job)
        with suppress(MessageDeleted):  # found again at the next start
            await self.delivery.show(shown.job, view)

    async def run(self) -> None:
        """Keep the messages of queued jobs up to date, until cancelled."""
        while True:
            await asyncio.sleep(EDIT_INTERVAL)
            try:
                self._update_messages()
            except Exception:  # an error in one job's message must not stop the others
                logger.exception("progress could not be shown")

    def _update_messages(self) -> None:
        now, today, edits = time.monotonic(), discord.utils.utcnow(), 0
        for shown in [*self._drawn.values(), *self._waiting.values()]:
            if not shown.warned and shown.token_expires_soon(today) and shown.may_be_edited(now):
                self._warn(shown)
                edits += 1
                if edits == EDIT_BATCH_SIZE:
                    return
        for job_id in list(self._waiting)[:SCAN_LIMIT]:
            shown = self._waiting[job_id]
            self._waiting.move_to_end(job_id)
            if shown.may_be_edited(now) and self._show_queue_status(shown):
                edits += 1
                if edits == EDIT_BATCH_SIZE:
                    return

    def _show_queue_status(self, shown: _Shown) -> bool:
        """Returns whether anything new was shown."""
        status = self.queue_status(shown.job)
        if status is None or (shown.queue_status is not None and not _differs(shown.queue_status, status)):
            return False
        shown.queue_status = status
        self._deferred.pop(shown.job.id, None)
        with speaking(messages.message_locale(shown.job)):
            view = messages.queued(shown.job, status, _note(shown))
        edit = self._begin(shown, self.delivery.show(shown.job, view))
        self._pending_edits.add(edit)
        edit.add_done_callback(self._queued_one_edited)
        return True

    def _queued_one_edited(self, edit: asyncio.Task[bool]) -> None:
        self._pending_edits.discard(edit)
        self._show_deferred()

    def _warn(self, shown: _Shown) -> None:
        """Say in the message, while it can still be edited, that the images will come as a private message."""
        shown.warned = True
        if shown.progress is not None:
            self._begin(shown, self._show_progress(shown, shown.progress))
            return
        with speaking(messages.message_locale(shown.job)):
            view = messages.queued(shown.job, self.queue_status(shown.job), _note(shown))
        self._begin(shown, self.delivery.show(shown.job, view))

    async def _show_progress(self, shown: _Shown, progress: JobProgress) -> bool:
        job = shown.job
        preview = None
        if self.previews and progress.previews and await self.delivery.takes_previews(job):
            preview = await asyncio.to_thread(_side_by_side, progress.previews)
        name = (messages.SPOILER if job.spoiler else "") + messages.PREVIEW_NAME

        def files() -> list[discord.File]:
            return [] if preview is None else [discord.File(io.BytesIO(preview), name)]

        with speaking(messages.message_locale(job)):
            view = messages.in_progress(
                job,
                progress.fraction,
                progress.step,
                progress.steps,
                name if preview is not None else None,
                _note(shown),
            )
        return await self.delivery.show(job, view, files, with_files=preview is not None)

    def _begin(self, shown: _Shown, edit: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        shown.due = time.monotonic() + EDIT_INTERVAL
        shown.edit = Transmission(edit, name=f"status-{shown.job.id}", urgency=Urgency.PROGRESS)
        shown.edit.task.add_done_callback(partial(self._edited, shown))
        return shown.edit.task

    def _edited(self, shown: _Shown, edit: asyncio.Task[bool]) -> None:
        if edit.cancelled():
            return  # a newer edit follows
        error = edit.exception()
        if isinstance(error, MessageDeleted):
            self.deleted(shown.job)
        elif error is not None and not isinstance(error, Dropped):
            logger.error("progress could not be shown", exc_info=error)
        is_shown = error is None and edit.result()
        if not is_shown:
            shown.queue_status = None  # shown again with the next edit
        comes_again = shown.job.id in self._waiting or shown.job.id in self._drawn
        if is_shown or not comes_again:
            self.note_shown(shown.job.id, is_shown)


def _note(shown: _Shown) -> str:
    return say(messages.COMES_IN_PRIVATE) if shown.token_expires_soon(discord.utils.utcnow()) else ""


def _differs(before: QueueStatus, after: QueueStatus) -> bool:
    if before.jobs_ahead != after.jobs_ahead or before.model is not after.model:
        return True
    if before.ready_at is None or after.ready_at is None:
        return before.ready_at is not after.ready_at
    return abs((after.ready_at - before.ready_at).total_seconds()) > READY_TOLERANCE


def _side_by_side(previews: Sequence[Image.Image]) -> bytes:
    """All previews in one small JPEG."""
    width, height = sum(image.width for image in previews), max(image.height for image in previews)
    strip = Image.new("RGB", (width, height))
    left = 0
    for image in previews:
        strip.paste(image, (left, 0))
        left += image.width
    strip.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = io.BytesIO()
    strip.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
