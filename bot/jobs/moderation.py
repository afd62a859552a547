"""Carries out what moderators, admins and operators decide, and applies it to unfinished jobs.

A block, a ban, a pause or the removal of the bot cancels the jobs queued there, with refunds. Their messages say why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import discord

from bot.generation.spec import IN_OWN_SERVER
from bot.jobs.delivery.delivery import Delivery
from bot.jobs.delivery.outbox import Outbox, retry_storage
from bot.jobs.log_channels import LogChannels
from bot.jobs.workers import Workers
from bot.messages import job as messages
from bot.messages import log_entries
from bot.ops.background import BackgroundTasks
from bot.ops.logs import with_job_log_context
from bot.rules.policy import PolicyRefusal
from bot.rules.server_settings import load_server_settings, settings_guild_id
from bot.text.languages import speaking
from storage.database import Database
from storage.gallery.shares import Share
from storage.jobs import Job
from storage.schema import JobState
from storage.servers import EVERYWHERE

logger = logging.getLogger(__name__)

#: How many messages are edited at the same time when many jobs end together.
EDIT_BATCH_SIZE = 5
#: The states of jobs that a pause cancels. Jobs that are being drawn or posted continue.
WAITING = (JobState.QUEUED,)
#: The same at the start of the bot, which would queue the jobs again that were being drawn.
WAITING_AT_START = (JobState.QUEUED, JobState.RUNNING)


class Moderation:
    def __init__(
        self,
        database: Database,
        workers: Workers,
        outbox: Outbox,
        delivery: Delivery,
        log: LogChannels,
        answers: Callable[[int, int | None], bool],
    ) -> None:
        """`answers`: whether the operator allows a user, by id, to use the bot in a server, or outside of servers."""
        self._database = database
        self._workers = workers
        self._outbox = outbox
        self._delivery = delivery
        self._log = log
        self._answers = answers
        self._tasks = BackgroundTasks()

    async def block(self, guild_id: int, user_id: int, *, by: int, reason: str = "") -> bool:
        """Block a user in a server or EVERYWHERE, and cancel their jobs there. False: they were blocked already."""
        blocked = await self._database.servers.block(guild_id, user_id, by=by, reason=reason)
        where = None if guild_id == EVERYWHERE else guild_id
        await self._drop(await self._database.jobs.cancel_of_person(user_id, where, messages.DROPPED_BY_BLOCK, by))
        if blocked:
            self._log.post(where, log_entries.blocked(user_id, by=by, reason=reason))
        return blocked

    async def banned(self, guild_id: int, user_id: int) -> None:
        """Cancel the jobs of a user who was banned from a server."""
        jobs, reason = self._database.jobs, messages.DROPPED_BY_BLOCK
        await self._drop(await retry_storage(lambda: jobs.cancel_of_person(user_id, guild_id, reason)))

    async def unblock(self, guild_id: int, user_id: int, *, by: int) -> bool:
        """Unblock a user. Returns False if they were not blocked there."""
        unblocked = await self._database.servers.unblock(guild_id, user_id, by=by)
        if unblocked and guild_id != EVERYWHERE:
            self._log.post(guild_id, log_entries.unblocked(user_id, by=by))
        return unblocked

    async def cancelled(self, job: Job, *, by: int) -> None:
        """Record that a moderator has cancelled a user's job."""
        if job.guild_id is not None:
            await self._database.servers.record(job.guild_id, "cancel", by=by, subject_id=job.user_id)
            self._log.post(job.guild_id, log_entries.cancelled(job, by=by))

    async def deleted(self, job: Job, *, by: int) -> None:
        """Record that a moderator has deleted a user's images."""
        if job.guild_id is not None:
            await self._database.servers.record(job.guild_id, "delete", by=by, subject_id=job.user_id)
            self._log.post(job.guild_id, log_entries.deleted(job, by=by))

    async def unshared(self, share: Share, *, by: int) -> None:
        """Record that a moderator has removed a user's image from the gallery."""
        await self._database.servers.record(share.guild_id, "unshare", by=by, subject_id=share.user_id)
        self._log.post(share.guild_id, log_entries.unshared(share, by=by))

    def refused(self, interaction: discord.Interaction[Any], refusal: PolicyRefusal, words: str, private: bool) -> None:
        """Log a refused request for moderators, if it was refused for its words."""
        if interaction.channel_id is None:
            return
        entry = log_entries.refused(
            refusal, words, user_id=interaction.user.id, channel_id=interaction.channel_id, private=private
        )
        self._log.post(settings_guild_id(interaction), entry)

    def ended(self, job: Job) -> None:
        """Log an ended job for moderators if it failed, its image may not be shown, or its message was deleted."""
        self._log.post(job.guild_id, log_entries.ended(job))

    async def drop_waiting(self, guild_id: int, *, by: int) -> int:
        """Cancel the jobs queued in a server where drawing was paused. Returns their number."""
        ended = await self._database.jobs.cancel_in_server(guild_id, messages.DROPPED_BY_PAUSE, by, states=WAITING)
        await self._drop(ended)
        return len(ended)

    async def drop_all_waiting(self, *, by: int) -> int:
        """Cancel all queued jobs, because the operator paused everything. Returns their number."""
        ended = await self._database.jobs.cancel_everywhere(messages.DROPPED_BY_OPERATOR, by, states=WAITING)
        await self._drop(ended)
        return len(ended)

    async def drop_of_removed_server(self, guild_id: int) -> None:
        """Cancel all jobs in a server that the bot was removed from."""
        reason = messages.DROPPED_BY_REMOVAL
        ended = await retry_storage(lambda: self._database.jobs.cancel_in_server(guild_id, reason))
        if ended:
            logger.info("removed from server %d: %d jobs were cancelled", guild_id, len(ended))
        await self._discard(ended)
        self._tasks.start(self._show_removals(ended), name="moderation")

    async def drop_of_missing_servers(
        self, guild_ids: Collection[int], among: Callable[[int], bool] = lambda guild_id: True
    ) -> None:
        """The same for every server that is not one of these: the bot was removed while it was off or disconnected.

        `among`: whether a server can be judged by `guild_ids`. Jobs of user installs, in servers where the bot was
        never a member, continue.
        """
        asked_in = await retry_storage(lambda: self._database.jobs.servers_of_live(IN_OWN_SERVER))
        for guild_id in filter(among, sorted(asked_in.difference(guild_ids))):
            await self.drop_of_removed_server(guild_id)

    async def drop_forbidden(self) -> None:
        """At the start, cancel the jobs that a block or a pause should have ended if the bot was killed in between.

        The same for jobs where the operator no longer allows the bot. `recovery` notifies their users afterwards.
        """
        jobs, servers = self._database.jobs, self._database.servers
        if (await load_server_settings(servers, None)).operator_pause is not None:
            await jobs.cancel_everywhere(messages.DROPPED_BY_OPERATOR, states=WAITING_AT_START)
        live = await jobs.live()
        blocked = await servers.blocked_among({job.user_id for job in live})
        for user_id, guild_id in sorted(blocked):
            where = None if guild_id == EVERYWHERE else guild_id
            await jobs.cancel_of_person(user_id, where, messages.DROPPED_BY_BLOCK)
        asked = {(job.guild_id, job.user_id) for job in live if not self._answers(job.user_id, job.guild_id)}
        for server_id, user_id in asked:
            await jobs.cancel_of_person(user_id, server_id, messages.NOT_IN_THIS_SERVER)
        for guild_id in sorted({job.guild_id for job in live if job.guild_id is not None}):
            if (await load_server_settings(servers, guild_id)).paused:
                await jobs.cancel_in_server(guild_id, messages.DROPPED_BY_PAUSE, states=WAITING_AT_START)

    async def close(self) -> None:
        """Stop notifying users; the others are notified after the next start."""
        await self._tasks.cancel()

    async def _drop(self, ended: Sequence[Job]) -> None:
        """Stop handling jobs that were cancelled in the database, and notify their users in the background."""
        await self._discard(ended)
        self._tasks.start(self._notify(ended), name="moderation")

    async def _discard(self, ended: Sequence[Job]) -> None:
        """There may be thousands, so the loop lets other tasks run. The database refuses to start any of them."""
        for job in ended:
            self._workers.discard(job.id)
            await asyncio.sleep(0)

    async def _notify(self, ended: Sequence[Job]) -> None:
        for some in _in_groups(ended):
            await asyncio.gather(*(self._workers.cancel(job.id) for job in some))
            for job in some:
                self._outbox.report_failure_later(job)
            await asyncio.gather(*(self._outbox.wait_for(job.id) for job in some))

    async def _show_removals(self, ended: Sequence[Job]) -> None:
        """Show it through the interaction's token, the only route left, while that is valid."""
        for some in _in_groups(ended):
            await asyncio.gather(*map(self._show_removal, some))

    @with_job_log_context
    async def _show_removal(self, job: Job) -> None:
        await self._workers.cancel(job.id)
        with speaking(messages.message_locale(job)):
            view = messages.failed(job, messages.explain_reason(messages.DROPPED_BY_REMOVAL))
        await self._delivery.conclude(job, view)
        await retry_storage(lambda: self._database.jobs.mark_notified(job.id))


def _in_groups(jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    for first in range(0, len(jobs), EDIT_BATCH_SIZE):
        yield jobs[first : first + EDIT_BATCH_SIZE]
