"""How jobs are getting on, shown in their messages: where they stand in the queue, then how far they are drawn.

Each message is edited at most every few seconds and by one edit at a time, and never again once `end` has returned: so
nothing that comes late can take a finished picture's place.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import discord
from PIL import Image

from bot.jobs.delivery.delivery import Delivery
from bot.messages import job as messages
from bot.messages.job import QueueStatus
from bot.text.languages import speaking
from storage.jobs import Job

#: Seconds between two edits of one message.
SHOWN_EVERY = 3.0
EDITS_AT_A_TIME = 5
#: Waiting jobs that are considered each time, so that a long line costs no more than a short one.
SCAN_LIMIT = 25
#: Seconds by which the time when a job is ready has to move to be worth an edit.
READY_ROUNDED = 15.0
PREVIEW_SIDE = 768


@dataclass(frozen=True)
class JobProgress:
    """`fraction` of all of a job is done; the images in hand are at `step` of `steps`.

    previews: of the job's images, as far as there is anything to see of them yet.
    """

    fraction: float
    step: int
    steps: int
    previews: Sequence[Image.Image] = ()


@dataclass
class _Shown:
    job: Job
    due: float = 0.0  # when the next edit may be made, on the monotonic clock
    edit: asyncio.Task[bool] | None = None
    queue_status: QueueStatus | None = None  # what the message says

    def may_be_edited(self, now: float) -> bool:
        return now >= self.due and (self.edit is None or self.edit.done())


@dataclass
class StatusMessages:
    delivery: Delivery
    #: None for a job that is not queued.
    queue_status: Callable[[Job], QueueStatus | None]
    previews: bool = True
    _waiting: OrderedDict[int, _Shown] = field(default_factory=OrderedDict)  # the longest unlooked-at first
    _drawn: dict[int, _Shown] = field(default_factory=dict)
    _ended: bool = False

    def waits(self, job: Job) -> asyncio.Task[bool] | None:
        """A job has joined the line: its message says where it stands, now and from time to time.

        Returns the edit that says so first, with whether it could be made.
        """
        shown = self._waiting[job.id] = self._drawn.pop(job.id) if job.id in self._drawn else _Shown(job)
        if shown.may_be_edited(time.monotonic()):
            self._show_queue_status(shown)
        return shown.edit

    def draws(self, job: Job, progress: JobProgress) -> None:
        """A job has got further."""
        if self._ended:
            return
        shown = self._drawn.get(job.id) or self._waiting.pop(job.id, None) or _Shown(job)
        self._drawn[job.id] = shown
        if shown.may_be_edited(time.monotonic()):
            self._begin(shown, self._show_progress(job, progress))

    async def end(self, job_id: int) -> None:
        """Show no more of a job; wait for the edit that is under way."""
        shown = self._waiting.pop(job_id, None) or self._drawn.pop(job_id, None)
        if shown is not None and shown.edit is not None:
            await asyncio.gather(shown.edit, return_exceptions=True)

    async def interrupt_waiting(self) -> None:
        """Say in the messages of queued jobs that they continue after a restart, and show no more of them."""
        await self._interrupt([shown for shown in self._waiting.values() if self.queue_status(shown.job) is not None])

    async def interrupt_all(self) -> None:
        """The same also in those of jobs whose drawing was cut off. Nothing is shown of any job afterwards."""
        self._ended = True
        await self._interrupt([*self._drawn.values(), *self._waiting.values()])

    async def _interrupt(self, shown: Sequence[_Shown]) -> None:
        for each in shown:
            self._waiting.pop(each.job.id, None)
            self._drawn.pop(each.job.id, None)
        for first in range(0, len(shown), EDITS_AT_A_TIME):
            await asyncio.gather(*map(self._show_interruption, shown[first : first + EDITS_AT_A_TIME]))

    async def _show_interruption(self, shown: _Shown) -> None:
        if shown.edit is not None:
            await asyncio.gather(shown.edit, return_exceptions=True)
        with speaking(messages.message_locale(shown.job)):
            view = messages.interruption_notice(shown.job)
        await self.delivery.show(shown.job, view)

    async def run(self) -> None:
        """Keep those who wait informed, until cancelled."""
        while True:
            await asyncio.sleep(SHOWN_EVERY)
            self._look_around()

    def _look_around(self) -> None:
        now, edits = time.monotonic(), 0
        for job_id in list(self._waiting)[:SCAN_LIMIT]:
            shown = self._waiting[job_id]
            self._waiting.move_to_end(job_id)
            if shown.may_be_edited(now) and self._show_queue_status(shown):
                edits += 1
                if edits == EDITS_AT_A_TIME:
                    return

    def _show_queue_status(self, shown: _Shown) -> bool:
        """Whether there was anything new to tell."""
        status = self.queue_status(shown.job)
        if status is None or (shown.queue_status is not None and not _differs(shown.queue_status, status)):
            return False
        shown.queue_status = status
        with speaking(messages.message_locale(shown.job)):
            view = messages.queued(shown.job, status)
        self._begin(shown, self.delivery.show(shown.job, view))
        return True

    async def _show_progress(self, job: Job, progress: JobProgress) -> bool:
        preview = None
        if self.previews and progress.previews:
            preview = await asyncio.to_thread(_side_by_side, progress.previews)
        name = (messages.SPOILER if job.spoiler else "") + messages.PREVIEW_NAME

        def files() -> list[discord.File]:
            return [] if preview is None else [discord.File(io.BytesIO(preview), name)]

        with speaking(messages.message_locale(job)):
            view = messages.in_progress(
                job, progress.fraction, progress.step, progress.steps, name if preview is not None else None
            )
        return await self.delivery.show(job, view, files)

    def _begin(self, shown: _Shown, edit: Coroutine[Any, Any, bool]) -> None:
        shown.due = time.monotonic() + SHOWN_EVERY
        shown.edit = asyncio.create_task(edit, name=f"status-{shown.job.id}")


def _differs(before: QueueStatus, after: QueueStatus) -> bool:
    if before.jobs_ahead != after.jobs_ahead:
        return True
    if before.ready_at is None or after.ready_at is None:
        return before.ready_at is not after.ready_at
    return abs((after.ready_at - before.ready_at).total_seconds()) > READY_ROUNDED


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
