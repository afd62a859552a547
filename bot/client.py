"""The discord.py client: holds the bot's services, connects, continues unfinished jobs, and closes.

It knows no command, button or modal; `bot.app` installs those.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.generation.compose import ModelInfo
from bot.jobs.acknowledgement.acknowledgements import Acknowledgements
from bot.jobs.acknowledgement.answer_cache import AnswerCache
from bot.jobs.announcements import Announcements
from bot.jobs.cancellation import Cancellation
from bot.jobs.delivery.delivery import Delivery
from bot.jobs.delivery.outbox import Outbox, retry_storage
from bot.jobs.delivery.progress import StatusMessages
from bot.jobs.delivery.request_budget import RequestBudget
from bot.jobs.delivery.transmission import trace
from bot.jobs.describing.describer import Describer
from bot.jobs.gallery.gallery import Gallery
from bot.jobs.log_channels import LogChannels
from bot.jobs.model.model_info import ModelInfoSource
from bot.jobs.model.model_wait import ModelWait
from bot.jobs.moderation import Moderation
from bot.jobs.queue import FairQueue
from bot.jobs.recovery import Recovery
from bot.jobs.servers.deletions import Deletions
from bot.jobs.servers.lookup import ServerLookup
from bot.jobs.servers.removals import Removals
from bot.jobs.submission import Submitter
from bot.jobs.workers import Workers
from bot.ops import logs
from bot.ops.background import BackgroundTasks, cancel
from bot.ops.metrics import Metrics
from bot.ops.outages import retry_until_reached
from bot.ops.retention import Retention
from bot.ops.settings import MINIATURE, Settings
from bot.ops.sharding import ShardedClient
from bot.ops.shutdown import InteractionTracker, Shutdown
from bot.prompting import TagIndex
from bot.rules.policy import Person
from bot.rules.server_settings import limit_outside_servers, load_server_settings, settings_guild_id
from bot.text.discord_clock import discord_clock
from bot.text.translation import Translator
from inference import EngineClient
from inference.tagging.process import TaggerProcess
from storage.backend.drawing_claim import ClaimLost
from storage.backend.errors import DatabaseRefused, StorageUnavailable
from storage.database import Database
from storage.jobs import Allowance, Job

logger = logging.getLogger(__name__)

#: The longest that closing waits for discord.py to connect.
MAX_CONNECT_SECONDS = 60.0
#: Seconds for notifying users whose images were not done within the grace period.
NOTIFY_TIMEOUT = 3.0
#: Seconds between attempts to take the claim, or to resume drawing.
STANDBY_INTERVAL = 1.0
#: Seconds for deliveries that did not end within the grace period, and then for the engines' steps.
STOP_TIMEOUT = 1.0
#: Seconds that requests wait until unfinished jobs are read. If it takes longer, users are told so within 30 seconds.
RECOVERY_TIMEOUT = 20.0


class AnimaClient(ShardedClient):
    tree: app_commands.CommandTree[AnimaClient]

    def __init__(
        self, settings: Settings, database: Database, engines: Mapping[str, EngineClient], tags: TagIndex
    ) -> None:
        """`engines` by name."""
        intents = discord.Intents.none()
        intents.guilds = True
        intents.guild_messages = True  # for the deletion of a job's message
        intents.moderation = True  # for bans
        requests = RequestBudget()
        super().__init__(
            intents=intents,
            max_cached_servers=settings.max_cached_servers,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            http_trace=trace(requests, lambda: database.claim.is_held),
        )
        self.database = database
        self.tags = tags
        self.interactions = InteractionTracker()
        self.metrics = Metrics()
        database.jobs.watch(self.metrics.ended)
        database.jobs.watch(_log_end)
        #: Set while this bot draws, once the unfinished jobs of the previous run continue.
        self.recovered = asyncio.Event()
        #: Why the worker ended on its own, if it did.
        self.failure: BaseException | None = None
        #: The users who run this bot.
        self.operators = settings.operators
        #: The servers where the bot answers; empty: all.
        self.allowed_servers = settings.allowed_servers
        #: Whether the model is the bundled miniature, which can draw little.
        self.has_miniature = settings.models == MINIATURE
        self._leaves_other_servers = settings.leave_other_servers
        self._waits_for_claim = settings.standby
        is_set = "credits_outside_servers" in settings.model_fields_set
        self._credits_outside_servers = settings.credits_outside_servers if is_set else ...
        self._working: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._leaving = BackgroundTasks()
        self._resuming: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._create_drawing(settings, engines, requests)
        self._create_moderation(settings)
        self._create_submission(settings)

    def _create_drawing(self, settings: Settings, engines: Mapping[str, EngineClient], requests: RequestBudget) -> None:
        """Create what leads from the queue to the message with the images."""
        jobs = self.database.jobs
        self.queue = FairQueue(settings.anima_largest_batch)
        self.server_lookup = ServerLookup(self, lambda guild_id, error: self.removals.refused(guild_id, error))
        self.removals = Removals(
            self, self.server_lookup, jobs, lambda guild_id: self.moderation.drop_of_removed_server(guild_id)
        )
        self.delivery = Delivery(
            self, self.database, self.server_lookup, settings.image_policy, self.removals.refused_job, requests
        )
        self.progress = StatusMessages(
            self.delivery,
            lambda job: self.model_wait.queue_status(job),
            previews=settings.picture_classifier is None,
            is_queued=self.queue.__contains__,
        )
        self.outbox = Outbox(jobs, self.delivery, self.progress)
        self.workers = Workers(
            engines,
            self.queue,
            self.database,
            self.progress,
            self.outbox,
            image_policy=settings.image_policy,
            classifies=settings.picture_classifier is not None,
            drawn=self.metrics.drawn,
        )
        self.model_wait = ModelWait(
            self.workers, jobs, self.queue, self.outbox, timedelta(hours=settings.job_timeout_hours)
        )
        self.model_info = ModelInfoSource(self.workers, settings.models, settings.anima_diffusion_model)
        self.model = self.model_info.model
        self.cancellation = Cancellation(jobs, self.workers, self.delivery)
        self.progress.deleted = self.cancellation.message_deleted_later
        self.deletions = Deletions(self._messages_deleted)

    def _create_moderation(self, settings: Settings) -> None:
        """Create what applies the decisions of servers, moderators and operators, and what reports to them."""
        database = self.database
        self.log_channels = LogChannels(self.server_lookup, database.servers, self.removals.refused)
        self.moderation = Moderation(
            database, self.workers, self.outbox, self.delivery, self.log_channels, self.answers
        )
        database.jobs.watch(self.moderation.ended)
        self.gallery = Gallery(self, database, self.server_lookup, settings.image_policy)
        self.announcements = Announcements(self.server_lookup, self.answers_in, database.servers)
        self.retention = Retention(database.privacy, settings)

    def _create_submission(self, settings: Settings) -> None:
        """Create what turns Discord's interactions into queued jobs or answers."""
        database = self.database
        self.known = AnswerCache(database)
        self.acknowledgements = Acknowledgements(self, database.unanswered, database.claim)
        self.submitter = Submitter(
            database,
            self.queue,
            self.progress,
            self.tags,
            self._model_once_recovered,
            self.server_lookup.place_of,
            self.known,
            self.acknowledgements.accepted,
            self.metrics.refused,
            self.moderation.refused,
        )
        self.describer = Describer(
            database,
            None if settings.anima_tagger is None else TaggerProcess(str(settings.anima_tagger)),
            settings.tag_thresholds,
            self.server_lookup.place_of,
            self.metrics.refused,
        )

    async def allowance(self, interaction: discord.Interaction[Any]) -> Allowance:
        """The user's quota and limits in the place where the interaction was made."""
        settings = await load_server_settings(self.database.servers, settings_guild_id(interaction))
        person = Person.of(interaction, block=None)
        return Allowance(credits=settings.quota.of(person.role_ids), waiting=settings.limits.waiting)

    async def login(self, token: str) -> None:
        await retry_until_reached(partial(super().login, token), self._forget_http_session)

    async def _forget_http_session(self) -> None:
        """discord.py creates a new session for each login and assumes that its connector is open."""
        await self.http.close()
        self.http.connector = discord.utils.MISSING

    async def setup_hook(self) -> None:
        """discord.py calls this once, between login and connecting, so no interaction arrives before it ends."""
        await self._claim()
        await super().setup_hook()
        await self.known.load()
        await self.tree.set_translator(Translator())
        await retry_until_reached(self.tree.sync)
        self._keeping = asyncio.create_task(self.database.claim.keep(), name="claim")
        self._working = asyncio.create_task(self._work(), name="workers")
        self._working.add_done_callback(self._close_without_worker)
        self._forgetting = asyncio.create_task(self.retention.run(), name="retention")
        self._watching = asyncio.create_task(self.removals.run(), name="removals")

    async def on_ready(self) -> None:
        """All servers are known now, including unavailable ones."""
        await self._check_servers(*self.shards)

    async def on_shard_ready(self, shard_id: int) -> None:
        if self.is_ready():  # the shard had to start a new session; at the start `on_ready` checks all shards
            await self._check_servers(shard_id)

    async def _check_servers(self, *shard_ids: int) -> None:
        """Handle what changed in the servers of some shards while they were not connected."""
        server_ids = {guild_id for shard_id in shard_ids for guild_id in self.server_ids(shard_id)}
        await self.moderation.drop_of_missing_servers(server_ids, lambda guild_id: self.shard_of(guild_id) in shard_ids)
        for guild_id in server_ids:
            await self._leave_unless_allowed(guild_id)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self._leave_unless_allowed(guild.id)

    async def _leave_unless_allowed(self, guild_id: int) -> None:
        if not self._leaves_other_servers or self.answers_in(guild_id):
            return
        logger.warning("leaving server %d, which is not in ALLOWED_SERVERS", guild_id)
        try:
            await self.http.leave_guild(guild_id)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.warning("server %d could not be left: %s", guild_id, error)

    def answers_in(self, guild_id: int | None) -> bool:
        """Whether the operator allows that server. Private messages are always allowed; they have their own rules."""
        return guild_id is None or not self.allowed_servers or guild_id in self.allowed_servers

    def answers(self, user_id: int, guild_id: int | None) -> bool:
        """Whether the operator allows that user to use the bot there. Operators may use it everywhere."""
        return self.answers_in(guild_id) or user_id in self.operators

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed; for an unavailable server discord.py sends another event."""
        if self.database.claim.is_held:  # otherwise the bot that draws does all this
            await self.moderation.drop_of_removed_server(guild.id)

    async def on_member_ban(self, guild: discord.Guild, user: discord.User | discord.Member) -> None:
        if self.database.claim.is_held:
            await self.moderation.banned(guild.id, user.id)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        if self.database.claim.is_held:
            self.deletions.add([event.message_id])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        if self.database.claim.is_held:
            self.deletions.add(event.message_ids)

    async def _messages_deleted(self, message_ids: Collection[int]) -> None:
        await self.cancellation.messages_deleted(message_ids)
        await retry_storage(lambda: self.database.shares.messages_deleted(message_ids))

    async def _model_once_recovered(self) -> ModelInfo:
        """The model, once the recovery is done: it would take a job accepted earlier for one of the previous run."""
        self._require_claim()
        try:
            async with asyncio.timeout(RECOVERY_TIMEOUT):
                await self.recovered.wait()
        except TimeoutError:
            raise StorageUnavailable("The unfinished jobs could not be read.") from None
        return await self.model()

    def _require_claim(self) -> None:
        if not self.database.claim.is_held:
            raise ClaimLost("Another bot may be drawing on this database.")

    def begin(self, interaction: discord.Interaction[Any]) -> None:
        """Register the current task as an interaction's. Raises DuplicateInteraction, ShuttingDown, ClaimLost."""
        self.interactions.begin(interaction.id)
        self._require_claim()
        self.acknowledgements.begin(interaction)
        if not self.caches_servers and interaction.guild_id is not None and interaction.is_guild_integration():
            # Without the cache Discord does not report that the bot was added to a server.
            self._leaving.start(self._leave_unless_allowed(interaction.guild_id), name="leaving a server")

    async def shut_down(self, shutdown: Shutdown) -> None:
        """Accept nothing more, finish running work within the grace period, requeue the rest and notify its users."""
        self.interactions.close()
        self.queue.close()
        self.workers.fail_waiting()
        await shutdown.within_grace(self._finish())
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        if not shutdown.hurried:
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTIFY_TIMEOUT):
                    await self.progress.interrupt_all()
        await self.workers.close(STOP_TIMEOUT)

    async def close(self) -> None:
        for task in (self._working, self._forgetting, self._watching, self._resuming, self._keeping):
            await cancel([task])
        self.interactions.close()
        self.workers.fail_waiting()
        with suppress(TimeoutError):  # users who waited for a model that could not be loaded are notified
            async with asyncio.timeout(NOTIFY_TIMEOUT):
                await self.interactions.finish()
        await self.acknowledgements.close()
        await self.announcements.close()
        await self.deletions.close()
        await self.cancellation.close()
        await self.gallery.close()
        await self.removals.close()
        await self.moderation.close()
        await self.log_channels.close()
        await self.describer.close()
        await self.workers.close()
        await super().close()
        discord_clock.forget()

    async def _claim(self) -> None:
        """Become the one bot that draws on the database. Raises DatabaseRefused."""
        claim = self.database.claim
        while not await claim.take_or_refuse():
            if not self._waits_for_claim:
                raise DatabaseRefused(
                    "Another Anima Bot is already using this database. Stop it, or give this one another DATABASE_URL."
                )
            await asyncio.sleep(STANDBY_INTERVAL)

    async def _work(self) -> None:
        """Draw until the queue is closed, whenever this bot holds the claim."""
        assert self.user is not None  # `setup_hook` starts this after the login
        await limit_outside_servers(self.database.servers, self._credits_outside_servers, by=self.user.id)
        with suppress(ClaimLost):
            await self._work_while_claimed(counting=True)
        while not self.queue.closed:
            await self.database.claim.until_held()
            logger.warning("drawing again")
            try:
                await self.known.load()
                await self._work_while_claimed(counting=False)
            except StorageUnavailable as error:
                logger.error("drawing could not be resumed: %s", error)
                await asyncio.sleep(STANDBY_INTERVAL)

    async def _work_while_claimed(self, *, counting: bool) -> None:
        """Continue unfinished jobs, until the queue is closed or the claim is lost. Raises StorageUnavailable."""
        await self.moderation.drop_forbidden()
        await Recovery(self.database, self.queue, self.outbox, self.progress).run(counting=counting)
        self._resuming = asyncio.create_task(self._resume(), name="resume")
        self.recovered.set()
        drawing = asyncio.create_task(self.workers.run(), name="drawing")
        lost = asyncio.create_task(self.database.claim.until_lost(), name="claim-lost")
        others = (lost, asyncio.create_task(self.model_wait.run(), name="model-wait"))
        try:
            await asyncio.wait({drawing, lost}, return_when=asyncio.FIRST_COMPLETED)
            was_lost = lost.done()
        finally:
            await cancel([drawing, *others])
        if not drawing.cancelled():
            drawing.result()
        if was_lost:  # even if this bot holds it again meanwhile
            self.recovered.clear()
            self._resuming.cancel()
            await self.announcements.close()
            await self.workers.forget()

    async def _resume(self) -> None:
        """Resume unanswered interactions, announcements and gallery removals."""
        if self.caches_servers:  # discord.py then knows channels and servers only after connecting
            await self.wait_until_ready()
        await self.acknowledgements.resume()
        await self.announcements.resume()
        self.gallery.remove_erased()

    async def _finish(self) -> None:
        await self.interactions.finish()
        await self.progress.interrupt_waiting()
        await self.workers.finish()
        await self.outbox.drain()

    def _close_without_worker(self, working: asyncio.Task[None]) -> None:
        """Close the client if the worker failed, because it cannot draw any more. `bot.app.run` then reports why."""
        if not working.cancelled() and (error := working.exception()) is not None:
            self.failure = error
            self._closing = asyncio.create_task(self._close_once_connected())

    async def _close_once_connected(self) -> None:
        """Wait for the connection first: if closed while connecting, discord.py would keep trying."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_CONNECT_SECONDS):
                await self.wait_until_ready()
        await self.close()


def _log_end(job: Job) -> None:
    """Log that a job ended, without its reason, which may quote the prompt."""
    if job.finished_at is not None:
        with logs.job_log_context(job.id):
            logger.info("%s after %.1f s", job.state.value, (job.finished_at - job.queued_at).total_seconds())
