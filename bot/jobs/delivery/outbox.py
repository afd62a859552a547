"""Retries finished images and failure messages until Discord accepts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import nullcontext
from typing import Any, TypeVar

import aiohttp
import discord

from bot.jobs.delivery.delivery import Delivery, NoLongerAllowed, Undeliverable
from bot.jobs.delivery.progress import StatusMessages
from bot.jobs.delivery.refusals import MessageDeleted, is_temporary
from bot.jobs.delivery.routes import Posted
from bot.jobs.delivery.transmission import Dropped, Transmission, note_pause
from bot.messages import job as messages
from bot.ops.logs import with_job_log_context
from bot.text.languages import speaking
from bot.text.translation import say
from storage.backend.errors import StorageUnavailable
from storage.jobs import Job, Jobs

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Unexpected errors in one delivery after which it is given up.
MAX_UNEXPECTED_ERRORS = 5
#: Seconds before a request that got no answer is tried again; doubled each time.
MIN_RETRY_DELAY, MAX_RETRY_DELAY = 2.0, 60.0
#: How many overdue updates (left over from before a start, or failed once) are sent at the same time. After an outage
#: there may be thousands, and each takes a connection and memory for its images.
MAX_CONCURRENT_RETRIES = 50
#: Seconds for linking from a job's message to images posted elsewhere.
LINK_TIMEOUT = 10.0


async def retry(action: Callable[[], Awaitable[T]], is_temporary: Callable[[Exception], bool]) -> T:
    """Repeat an action with growing pauses until it succeeds. Raises the first error that is not temporary."""
    delay = MIN_RETRY_DELAY
    while True:
        try:
            return await action()
        except Exception as error:
            if not is_temporary(error):
                raise
            logger.warning("not done yet (%s); trying again in %.0f s", error, delay)
        note_pause()
        await asyncio.sleep(delay)
        delay = min(2 * delay, MAX_RETRY_DELAY)


async def retry_storage(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the database until it answers, so that nothing is lost because it is busy or its disk is full."""
    return await retry(ask, lambda error: isinstance(error, StorageUnavailable))


class Outbox:
    """Sends at most one update per job at a time; `deliver_later` and `report_failure_later` start it.

    New updates are sent at once, overdue ones a few at a time.
    """

    def __init__(self, jobs: Jobs, delivery: Delivery, status: StatusMessages) -> None:
        self._jobs = jobs
        self._delivery = delivery
        self._status = status
        self._under_way: dict[int, Transmission[None]] = {}
        self._turns = asyncio.Semaphore(MAX_CONCURRENT_RETRIES)

    def deliver_later(self, job: Job, *, overdue: bool = False) -> None:
        """Deliver a job's images in the background, while the next batch is drawn."""
        self._begin(job, self._deliver(job, overdue))

    def report_failure_later(self, job: Job, reason: str | None = None, *, overdue: bool = False) -> None:
        """Tell the user in the background why their job failed."""
        self._begin(job, self._report_failure(job, reason or job.reason or messages.NOTHING_CAME, overdue))

    @with_job_log_context
    async def fail(self, job: Job, reason: str) -> None:
        """End a job that failed, with a refund, and tell the user why."""
        if await retry_storage(lambda: self._jobs.fail(job.id, reason)):
            self.report_failure_later(job, reason)

    async def refuse(self, job: Job, reason: str) -> None:
        """End a job whose images may not be shown, with a refund, and tell the user why."""
        if await retry_storage(lambda: self._jobs.refuse(job.id, reason)):
            self.report_failure_later(job, reason)

    async def wait_for(self, job_id: int) -> None:
        """Wait until a job's update is sent, if there is one."""
        if (transmission := self._under_way.get(job_id)) is not None:
            await asyncio.gather(transmission.task, return_exceptions=True)

    async def drop(self, job_id: int) -> None:
        """Send no more updates of a job; wait only for requests already sent."""
        if (transmission := self._under_way.get(job_id)) is not None:
            await transmission.drop()
            await asyncio.gather(transmission.task, return_exceptions=True)

    async def drain(self) -> None:
        """Wait for all updates being sent."""
        while self._under_way:
            await asyncio.wait([transmission.task for transmission in self._under_way.values()])

    async def close(self, grace: float) -> None:
        """Let updates being sent finish within `grace` seconds; those waiting for Discord are sent after a restart."""
        if self._under_way:
            tasks = [transmission.task for transmission in self._under_way.values()]
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _begin(self, job: Job, news: Coroutine[Any, Any, None]) -> None:
        transmission = Transmission(news, name=f"deliver-{job.id}")
        self._under_way[job.id] = transmission

        def arrived(task: asyncio.Task[None]) -> None:
            if self._under_way.get(job.id) is transmission:  # otherwise another update has replaced it
                del self._under_way[job.id]

        transmission.task.add_done_callback(arrived)

    @with_job_log_context
    async def _deliver(self, job: Job, overdue: bool) -> None:
        settled = await self._status.end(job.id)
        try:
            place = await self._retry(lambda: self._delivery.deliver(job, unsettled=not settled), overdue)
            self._status.note_shown(job.id, place is not None)
            if place is not None:
                await self._link_to(job, place)
        except Dropped:
            pass
        except MessageDeleted:
            logger.info("its message was deleted, so it is cancelled")
            if await retry_storage(lambda: self._jobs.cancel(job.id, by=None)):
                await retry_storage(lambda: self._jobs.mark_notified(job.id))
        except NoLongerAllowed as error:
            sentence = error.sentence
            if await retry_storage(lambda: self._jobs.refuse(job.id, sentence)):
                with speaking(messages.message_locale(job)):
                    self.report_failure_later(job, say(messages.NOT_ALLOWED_ANY_MORE, reason=sentence))
        except Undeliverable as error:
            logger.warning("%s", error)
            await self.fail(job, str(error))
        except Exception:
            logger.exception("delivery failed")
            await self.fail(job, messages.DISCORD_REFUSED)
        finally:
            self._status.note_shown(job.id, False)

    async def _retry(self, send: Callable[[], Awaitable[T]], overdue: bool) -> T:
        async def attempt() -> T:
            nonlocal overdue
            async with self._turns if overdue else nullcontext():
                overdue = True
                return await send()

        return await retry(attempt, _DeliveryErrors().is_temporary)

    async def _link_to(self, job: Job, place: Posted) -> None:
        try:
            async with asyncio.timeout(LINK_TIMEOUT):
                await self._delivery.link_to(job, place)
        except TimeoutError:
            logger.info("its message could not be edited to link to its images")

    @with_job_log_context
    async def _report_failure(self, job: Job, reason: str, overdue: bool) -> None:
        """Users who cannot be reached now are notified after the next start."""
        await self._status.end(job.id)
        try:
            await self._retry(lambda: self._delivery.report_failure(job, reason), overdue)
        except MessageDeleted:
            logger.info("its message was deleted, so its user is not notified")
            await retry_storage(lambda: self._jobs.mark_notified(job.id))
        except Dropped:
            pass
        except Exception as error:
            logger.warning("its user could not be notified of the failure: %s", error)
        finally:
            self._status.note_shown(job.id, False)


class _DeliveryErrors:
    """Decides which errors of one delivery are temporary: Discord or the database does not answer, however long.

    Permanent refusals by Discord are not temporary, nor are unexpected errors that keep happening.
    """

    def __init__(self) -> None:
        self._surprises = 0

    def is_temporary(self, error: Exception) -> bool:
        match error:
            case Undeliverable() | NoLongerAllowed() | MessageDeleted() | Dropped():
                return False
            case StorageUnavailable():
                return True
            case discord.HTTPException() | aiohttp.ClientError() | OSError():
                return is_temporary(error)
        self._surprises += 1
        if self._surprises < MAX_UNEXPECTED_ERRORS:
            logger.warning("something unexpected happened", exc_info=error)
            return True
        return False
