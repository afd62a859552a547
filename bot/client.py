"""The discord.py client: builds the parts, hands them to each other, starts them and lets them finish."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from math import log
from typing import Any

import discord

from bot.commands import COMPONENTS, FORMS, register
from bot.commands.admin import admin_forms
from bot.components import cancel, hint
from bot.components.base import AnimaCommandTree
from bot.components.edit_modal import EditForm
from bot.components.images import COMPONENTS as PICTURE_COMPONENTS
from bot.generation.compose import ModelInfo
from bot.jobs.delivery import Delivery
from bot.jobs.queue import HALF_LIFE, FairQueue
from bot.jobs.submission import Submitter
from bot.jobs.worker import Worker
from bot.ops import logs
from bot.ops.endpoints import point_discord_at
from bot.ops.errors import StartupError
from bot.ops.health import serving
from bot.ops.metrics import Metrics
from bot.ops.retention import Retention
from bot.ops.settings import Settings
from bot.ops.shutdown import InteractionTracker, Shutdown
from bot.prompting import OWN_TAGS, TagIndex
from bot.rules.policy import Person
from bot.rules.server_settings import limit_outside_servers, settings_guild_id, settings_of
from bot.text.translation import Translator
from inference import EngineClient
from inference.process import EngineProcess, load_engine
from inference.weights.lora_files import lora_names
from storage.backend.errors import DatabaseRefused
from storage.database import Database
from storage.jobs import Allowance, Job

logger = logging.getLogger(__name__)

MAX_CONNECT_SECONDS = 60.0
"""Seconds."""
NOTIFY_TIMEOUT = 3.0
"""Seconds for telling those whose pictures were not done when the grace was over."""
STOP_TIMEOUT = 1.0
"""Seconds of patience with what did not end within the grace either."""
RECENT_USE = timedelta(seconds=HALF_LIFE / log(2))
"""Who draws steadily has used as much in this time as a queue that forgets by HALF_LIFE would still remember."""


class AnimaClient(discord.Client):
    def __init__(self, settings: Settings, database: Database, engine: EngineClient, tags: TagIndex) -> None:
        intents = discord.Intents.none()
        intents.guilds = True
        super().__init__(intents=intents, allowed_mentions=discord.AllowedMentions.none())
        self.database = database
        self.tree = AnimaCommandTree(self)
        self.answers = InteractionTracker()
        self.tags = tags
        self.metrics = Metrics()
        database.jobs.watch(self.metrics.ended)
        database.jobs.watch(_say_how_it_ended)
        self.queue = FairQueue(settings.anima_largest_batch)
        self.delivery = Delivery(self, database)
        self.worker = Worker(
            engine,
            self.queue,
            database,
            self.delivery,
            picture_policy=settings.picture_policy,
            previews=settings.picture_classifier is None,
            drawn=self.metrics.drawn,
        )
        self.intake = Submitter(database, self.queue, self.worker.status, tags, self.metrics.refused)
        self.retention = Retention(database.privacy, settings)
        self._models = settings.models
        self._credits_outside_servers = settings.credits_outside_servers
        self.failure: BaseException | None = None
        """Why the worker ended by itself, if it did."""
        self._working: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def model(self) -> ModelInfo:
        """The loaded model, with the LoRA files as they are now; waits while it is loading."""
        description = await self.worker.description()
        loras = await asyncio.to_thread(lora_names, self._models)
        return ModelInfo(description.native, tuple(loras), description.turbo)

    async def allowance(self, interaction: discord.Interaction[Any]) -> Allowance:
        """What the person who asks may have there."""
        settings = await settings_of(self.database.servers, settings_guild_id(interaction))
        person = Person.of(interaction, block=None)
        return Allowance(credits=settings.quota.of(person.role_ids), waiting=settings.limits.waiting)

    async def setup_hook(self) -> None:
        """Runs once, logged in and not yet connected: nothing is asked of us before this has ended."""
        await self.tree.set_translator(Translator())
        register(self.tree)
        self.add_dynamic_items(*PICTURE_COMPONENTS, *cancel.COMPONENTS, *hint.COMPONENTS, *COMPONENTS)
        for form in (EditForm(), *admin_forms(), *(form() for form in FORMS)):
            self.add_view(form)
        await self.tree.sync()
        self._working = asyncio.create_task(self._work(), name="worker")
        self._working.add_done_callback(self._close_without_worker)
        self._forgetting = asyncio.create_task(self.retention.run(), name="retention")

    def _close_without_worker(self, working: asyncio.Task[None]) -> None:
        """A bot that cannot draw does not stay and pretend: `run` says why it ended."""
        if not working.cancelled() and (error := working.exception()) is not None:
            self.failure = error
            self._closing = asyncio.create_task(self._close_once_connected())

    async def _close_once_connected(self) -> None:
        """discord.py cannot be closed while it is connecting: it would go on trying."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_CONNECT_SECONDS):
                await self.wait_until_ready()
        await self.close()

    async def leave(self, shutdown: Shutdown) -> None:
        """Begin nothing more, finish what is under way within the grace, put the rest back in line and say so."""
        self.answers.close()
        self.queue.close()
        self.worker.fail_waiting_for_engine()
        await shutdown.within_grace(self._finish())
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        if not shutdown.hurried:
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTIFY_TIMEOUT):
                    await self.worker.status.interrupt_all()
        await self.worker.close(STOP_TIMEOUT)

    async def _finish(self) -> None:
        await self.answers.finish()
        await self.worker.status.interrupt_waiting()
        if self._working is not None and self.worker.loaded:
            await asyncio.wait([self._working])
        await self.worker.deliveries()

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        if self._forgetting is not None:
            self._forgetting.cancel()
            await asyncio.gather(self._forgetting, return_exceptions=True)
        await self.worker.close()
        await super().close()

    async def _work(self) -> None:
        if not await self.database.lock():
            raise DatabaseRefused(
                "Another Anima Bot draws for this database already. Stop it, or give this one another DATABASE_URL."
            )
        assert self.user is not None  # the worker begins logged in
        await limit_outside_servers(self.database.servers, self._credits_outside_servers, by=self.user.id)
        await self._recover_jobs()
        await self.worker.run()

    async def _recover_jobs(self) -> None:
        unfinished = await self.database.jobs.requeue_interrupted()
        self.queue.restore_usage(await self._recent_use(unfinished.waiting))
        for job in unfinished.undelivered:
            self.worker.deliver_later(job)
        for job in unfinished.unnotified:
            self.worker.report_error_later(job)
        if unfinished.waiting:
            logger.info("%d jobs go on after a restart", len(unfinished.waiting))
            for job in unfinished.waiting:
                await self.worker.requeue(job)

    async def _recent_use(self, still_waiting: Sequence[Job]) -> dict[int, float]:
        """Credits drawn lately by each person: a restart makes nobody's share larger. What only waits is reserved."""
        used = dict(await self.database.quotas.spent_lately(RECENT_USE))
        for job in still_waiting:
            used[job.user_id] = used.get(job.user_id, 0.0) - job.cost
        return {user_id: credits for user_id, credits in used.items() if credits > 0}


def _say_how_it_ended(job: Job) -> None:
    """Without its reason, which may quote the prompt."""
    if job.finished_at is not None:
        with logs.about(job.id):
            logger.info("%s after %.1f s", job.state.value, (job.finished_at - job.queued_at).total_seconds())


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[AnimaClient]:
    """A client with its parts, ready to be started. Raises DatabaseRefused, TagFileError, SettingsError."""
    point_discord_at(settings.discord_api_url, settings.discord_gateway_url)
    load_alone = partial(
        load_engine,
        str(settings.models),
        settings.anima_device,
        settings.anima_dtype,
        settings.anima_diffusion_model,
        settings.picture_classifier,
    )
    load = partial(logs.setting_up, settings.log_format, load_alone)
    tags = await asyncio.to_thread(TagIndex.load, settings.tag_file or OWN_TAGS)
    for problem in tags.problems:
        logger.warning("%s", problem)
    database = await Database.open(settings.database_url)
    try:
        async with AnimaClient(settings, database, EngineProcess(load), tags) as client:
            yield client
    finally:
        await database.close()


def freeze_gc() -> None:
    """What is there by now stays to the end: to look it through for garbage would hold the event loop up for 80 ms."""
    gc.collect()
    gc.freeze()


async def run(settings: Settings) -> None:
    """Run the bot until it is told to stop. Raises what `wrong_starts` has sentences for."""
    if settings.discord_token is None:
        raise StartupError(
            "DISCORD_TOKEN is not set. Put your bot's token into .env, or try `anima sandbox` without one."
        )
    if not settings.anima_models.is_dir():
        raise StartupError(
            f"There is no models folder at {settings.anima_models.absolute()}. Fetch the model with `anima download`, "
            "or name the folder where it is in ANIMA_MODELS."
        )
    async with open_client(settings) as client, AsyncExitStack() as stack:
        freeze_gc()
        if settings.health_port is not None:
            await stack.enter_async_context(serving(client, settings.health_host, settings.health_port))
        with Shutdown.by_signal(settings.shutdown_grace_seconds) as shutdown:
            running = asyncio.create_task(client.start(settings.discord_token.get_secret_value()))
            requested = asyncio.create_task(shutdown.requested.wait())
            await asyncio.wait({running, requested}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                requested.cancel()
                await running
            else:
                await client.leave(shutdown)
                running.cancel()
                await asyncio.wait([running])
        if client.failure is not None:
            raise client.failure
