"""Puts the bot together, starts it and ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from bot.client import AnimaClient
from bot.commands import HANDLERS as COMMAND_HANDLERS
from bot.commands import MODALS as COMMAND_MODALS
from bot.commands import register
from bot.commands.admin import admin_forms
from bot.commands.operator import operator_forms
from bot.commands.tree import AnimaCommandTree
from bot.components import cancel, edit_again, hint, images, trigger_words
from bot.components.edit_modal import EditModal
from bot.components.moderation import panel
from bot.components.moderation.report import ReportModal
from bot.components.preset_modal import ImagePresetModal
from bot.ops import logs
from bot.ops.endpoints import point_discord_at
from bot.ops.errors import StartupError
from bot.ops.health import serving
from bot.ops.settings import Settings
from bot.ops.shutdown import Shutdown
from bot.prompting import OWN_TAGS, TagIndex
from inference.process import EngineProcess, load_engine
from storage.database import Database

logger = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run the bot until it is asked to stop. Raises what `bot.cli.startup_errors` has sentences for."""
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
            health = serving(
                client,
                client.engine,
                client.database,
                client.metrics,
                settings.health_host,
                settings.health_port,
            )
            await stack.enter_async_context(health)
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
        settings.anima_text_encoder,
        settings.anima_vae,
        settings.anima_nag,
    )
    load = partial(logs.setting_up, settings.log_format, load_alone)
    tags = await asyncio.to_thread(TagIndex.load, settings.tag_file or OWN_TAGS)
    for problem in tags.problems:
        logger.warning("%s", problem)
    database = await Database.open(settings.database_url)
    try:
        async with build_client(settings, database, EngineProcess(load), tags) as client:
            yield client
    finally:
        await database.close()


def build_client(settings: Settings, database: Database, engine: EngineProcess, tags: TagIndex) -> AnimaClient:
    """A client with everything that it answers."""
    client = AnimaClient(settings, database, engine, tags)
    install(client)
    return client


def install(client: AnimaClient) -> None:
    """Have a client answer commands, presses and modals, those from before a restart too."""
    client.tree = AnimaCommandTree(client)
    register(client.tree, has_operators=bool(client.operators))
    handlers = (*images.HANDLERS, *cancel.HANDLERS, *hint.HANDLERS, *edit_again.HANDLERS, *panel.HANDLERS)
    client.add_dynamic_items(*handlers, *trigger_words.HANDLERS, *COMMAND_HANDLERS)
    for modal in (
        EditModal(),
        ImagePresetModal(),
        ReportModal(),
        *admin_forms(),
        *operator_forms(),
        *(modal() for modal in COMMAND_MODALS),
    ):
        client.add_view(modal)
        edit_again.FORMS[modal.name] = modal


def freeze_gc() -> None:
    """What is there by now stays to the end: to look it through for garbage would hold the event loop up for 80 ms."""
    gc.collect()
    gc.freeze()
