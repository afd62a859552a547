"""The discord.py client: holds the bot's services, connects, goes on with what was left, and closes.

It knows no command, button or modal; `bot.app` installs those.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.generation.compose import ModelInfo
from bot.jobs.acknowledgement.intake import Intake
from bot.jobs.acknowledgement.known import KnownAnswers
from bot.jobs.announcements import Announcements
from bot.jobs.cancellation import Cancellation
from bot.jobs.delivery.delivery import Delivery
from bot.jobs.delivery.outbox import Outbox
from bot.jobs.delivery.progress import StatusMessages
from bot.jobs.delivery.transmission import trace
from bot.jobs.engines import SupervisedEngine
from bot.jobs.log_channels import LogChannels
from bot.jobs.model.model_info import ModelInfoSource
from bot.jobs.model.model_wait import ModelWait
from bot.jobs.moderation import Moderation
from bot.jobs.queue import FairQueue
from bot.jobs.recovery import Recovery
from bot.jobs.submission import Submitter
from bot.jobs.throughput import Forecast
from bot.jobs.worker import Worker
from bot.ops import logs
from bot.ops.metrics import Metrics
from bot.ops.outages import Outage, until_reached
from bot.ops.retention import Retention
from bot.ops.settings import MINIATURE, Settings
from bot.ops.shutdown import InteractionTracker, Shutdown
from bot.prompting import TagIndex
from bot.rules.policy import Person
from bot.rules.server_settings import limit_outside_servers, load_server_settings, settings_guild_id
from bot.text.translation import Translator
from inference import EngineClient
from storage.backend.errors import DatabaseRefused
from storage.database import Database
from storage.jobs import Allowance, Job

logger = logging.getLogger(__name__)
_discord_log = logging.getLogger("discord.client")

#: Seconds.
MAX_CONNECT_SECONDS = 60.0
#: Seconds for telling those whose images were not done when the grace was over.
NOTIFY_TIMEOUT = 3.0
#: Seconds that are given to what did not end within the grace either.
STOP_TIMEOUT = 1.0


class AnimaClient(discord.Client):
    tree: app_commands.CommandTree[AnimaClient]

    def __init__(self, settings: Settings, database: Database, engine: EngineClient, tags: TagIndex) -> None:
        intents = discord.Intents.none()
        intents.guilds = True
        intents.guild_messages = True  # for the deletion of a job's message
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            http_trace=trace(),
        )
        self.database = database
        self.tags = tags
        self.interactions = InteractionTracker()
        self.metrics = Metrics()
        database.jobs.watch(self.metrics.ended)
        database.jobs.watch(_log_end)
        self.queue = FairQueue(settings.anima_largest_batch)
        self.forecast = Forecast(self.queue)
        self.delivery = Delivery(self, database, settings.image_policy)
        self.progress = StatusMessages(
            self.delivery, lambda job: self.model_wait.queue_status(job), previews=settings.picture_classifier is None
        )
        self.outbox = Outbox(database.jobs, self.delivery, self.progress)
        self.engine = SupervisedEngine(engine)
        self.model_wait = ModelWait(
            self.engine,
            database.jobs,
            self.queue,
            self.forecast,
            self.outbox,
            timedelta(hours=settings.job_timeout_hours),
        )
        self.worker = Worker(
            self.engine,
            self.queue,
            database,
            self.progress,
            self.outbox,
            self.forecast,
            image_policy=settings.image_policy,
            drawn=self.metrics.drawn,
        )
        self.model_info = ModelInfoSource(self.engine, settings.models, settings.anima_diffusion_model)
        self.model = self.model_info.model
        #: Whether it is the bundled miniature model, which can draw little.
        self.has_miniature = settings.models == MINIATURE
        self.log_channels = LogChannels(self.get_guild, database.servers)
        self.moderation = Moderation(database, self.worker, self.outbox, self.delivery, self.log_channels)
        database.jobs.watch(self.moderation.ended)
        self.known = KnownAnswers(database)
        self.intake = Intake(self, database.unanswered)
        self.submitter = Submitter(
            database,
            self.queue,
            self.progress,
            tags,
            self._model_once_recovered,
            self.known,
            self.intake.accepted,
            self.metrics.refused,
            self.moderation.refused,
        )
        self.cancellation = Cancellation(database.jobs, self.worker, self.delivery)
        self.progress.deleted = self.cancellation.message_deleted_later
        self.announcements = Announcements(lambda: self.guilds, self.answers_in, database.servers)
        self.retention = Retention(database.privacy, settings)
        #: Set once what the bot before this one left unfinished goes on.
        self.recovered = asyncio.Event()
        #: Why the worker ended on its own, if it did.
        self.failure: BaseException | None = None
        #: The users who run this bot.
        self.operators = settings.operators
        #: The servers where the bot answers; empty: all.
        self.allowed_servers = settings.allowed_servers
        self._leaves_other_servers = settings.leave_other_servers
        is_set = "credits_outside_servers" in settings.model_fields_set
        self._credits_outside_servers = settings.credits_outside_servers if is_set else ...
        self._working: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def allowance(self, interaction: discord.Interaction[Any]) -> Allowance:
        """What the person who asks may have there."""
        settings = await load_server_settings(self.database.servers, settings_guild_id(interaction))
        person = Person.of(interaction, block=None)
        return Allowance(credits=settings.quota.of(person.role_ids), waiting=settings.limits.waiting)

    async def login(self, token: str) -> None:
        await until_reached(partial(super().login, token), self._forget_http_session)

    async def _forget_http_session(self) -> None:
        """discord.py creates a new session for each login and assumes that its connector is open."""
        await self.http.close()
        self.http.connector = discord.utils.MISSING

    async def connect(self, *, reconnect: bool = True) -> None:
        """discord.py 2.7.1 retries every connection except the first, which raises AttributeError (its issue 10520)."""
        outage = Outage()
        _discord_log.addFilter(self._is_about_a_connection)
        try:
            while True:
                try:
                    return await super().connect(reconnect=reconnect)
                except AttributeError as error:
                    if self.ws is not None or error.__context__ is None:
                        raise
                    await outage.wait(error.__context__)
        finally:
            _discord_log.removeFilter(self._is_about_a_connection)

    def _is_about_a_connection(self, record: logging.LogRecord) -> bool:
        """Until the first connection, `Outage` logs the cause and the pause instead."""
        return self.ws is not None or not str(record.msg).startswith("Attempting a reconnect")

    async def setup_hook(self) -> None:
        """Runs once, logged in and not yet connected: nothing is asked of us before this has ended."""
        await self.known.load()
        await self.tree.set_translator(Translator())
        await until_reached(self.tree.sync)
        self._working = asyncio.create_task(self._work(), name="worker")
        self._working.add_done_callback(self._close_without_worker)
        self._forgetting = asyncio.create_task(self.retention.run(), name="retention")

    async def on_ready(self) -> None:
        """All servers are known by now, including unavailable ones."""
        await self.moderation.drop_of_missing_servers({guild.id for guild in self.guilds})
        for guild in self.guilds:
            await self._leave_unless_allowed(guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self._leave_unless_allowed(guild)

    async def _leave_unless_allowed(self, guild: discord.Guild) -> None:
        if not self._leaves_other_servers or self.answers_in(guild.id):
            return
        logger.warning("leaving server %d, which is not in ALLOWED_SERVERS", guild.id)
        try:
            await guild.leave()
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            logger.warning("server %d could not be left: %s", guild.id, error)

    def answers_in(self, guild_id: int | None) -> bool:
        """Whether the operator allows that server. Private messages always are; they have their own rules."""
        return guild_id is None or not self.allowed_servers or guild_id in self.allowed_servers

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed; for an unavailable server discord.py sends another event."""
        await self.moderation.drop_of_removed_server(guild.id)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self.cancellation.messages_deleted([event.message_id])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        await self.cancellation.messages_deleted(event.message_ids)

    async def _model_once_recovered(self) -> ModelInfo:
        """What is accepted before the jobs of the bot before this one are in line would be taken for one of them."""
        await self.recovered.wait()
        return await self.model()

    def begin(self, interaction: discord.Interaction[Any]) -> None:
        """The current task handles an interaction. Raises DuplicateInteraction, ShuttingDown."""
        self.interactions.begin(interaction.id)
        self.intake.begin(interaction)

    async def leave(self, shutdown: Shutdown) -> None:
        """Begin nothing more, finish what is under way within the grace, put the rest back in the queue and say so."""
        self.interactions.close()
        self.queue.close()
        self.engine.fail_waiting()
        await shutdown.within_grace(self._finish())
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        if not shutdown.hurried:
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTIFY_TIMEOUT):
                    await self.progress.interrupt_all()
        await self.worker.close(STOP_TIMEOUT)

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        if self._forgetting is not None:
            self._forgetting.cancel()
            await asyncio.gather(self._forgetting, return_exceptions=True)
        if self._resuming is not None:
            self._resuming.cancel()
            await asyncio.gather(self._resuming, return_exceptions=True)
        self.interactions.close()
        self.engine.fail_waiting()
        with suppress(TimeoutError):  # those who waited for a model that could not be loaded are told
            async with asyncio.timeout(NOTIFY_TIMEOUT):
                await self.interactions.finish()
        await self.intake.close()
        await self.announcements.close()
        await self.moderation.close()
        await self.log_channels.close()
        await self.worker.close()
        await super().close()

    async def _work(self) -> None:
        if not await self.database.lock():
            raise DatabaseRefused(
                "Another Anima Bot draws for this database already. Stop it, or give this one another DATABASE_URL."
            )
        assert self.user is not None  # the worker begins logged in
        await limit_outside_servers(self.database.servers, self._credits_outside_servers, by=self.user.id)
        await self.moderation.drop_forbidden()
        await Recovery(self.database, self.queue, self.outbox, self.progress).run()
        self._resuming = asyncio.create_task(self._resume(), name="resume")
        self.recovered.set()
        waiting = asyncio.create_task(self.model_wait.run(), name="model-wait")
        try:
            await self.worker.run()
        finally:
            waiting.cancel()

    async def _resume(self) -> None:
        """discord.py knows channels and servers only after connecting."""
        await self.wait_until_ready()
        await self.intake.resume()

    async def _finish(self) -> None:
        await self.interactions.finish()
        await self.progress.interrupt_waiting()
        if self._working is not None and self.engine.loaded:
            await asyncio.wait([self._working])
        await self.outbox.drain()

    def _close_without_worker(self, working: asyncio.Task[None]) -> None:
        """A bot that cannot draw does not stay and pretend: `bot.app.run` says why it ended."""
        if not working.cancelled() and (error := working.exception()) is not None:
            self.failure = error
            self._closing = asyncio.create_task(self._close_once_connected())

    async def _close_once_connected(self) -> None:
        """discord.py cannot be closed while it is connecting: it would go on trying."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_CONNECT_SECONDS):
                await self.wait_until_ready()
        await self.close()


def _log_end(job: Job) -> None:
    """Without its reason, which may quote the prompt."""
    if job.finished_at is not None:
        with logs.about(job.id):
            logger.info("%s after %.1f s", job.state.value, (job.finished_at - job.queued_at).total_seconds())
