"""Assembles the bot from its parts, starts it and stops it."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Mapping
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
from bot.components.base import Component
from bot.components.description import describe, described
from bot.components.edit_modal import EditModal
from bot.components.moderation import panel
from bot.components.moderation.report import ReportModal
from bot.components.more import extend, menu, redraw
from bot.components.preset_modal import ImagePresetModal
from bot.components.sharing import gallery_post, share
from bot.jobs.engines import engine_devices
from bot.ops import logs
from bot.ops.endpoints import point_discord_at
from bot.ops.errors import StartupError
from bot.ops.health import serving
from bot.ops.settings import Settings
from bot.ops.shutdown import Shutdown
from bot.prompting import OWN_TAGS, TagIndex
from inference import EngineClient
from inference.cluster.remote import REMOTE_TIMEOUTS, load_remote_engine
from inference.process import EngineProcess
from inference.request import LoadedEngine
from inference.startup.read_ahead import read_ahead
from inference.tagging.tagger import missing_files
from storage.database import Database

logger = logging.getLogger(__name__)

#: The handlers of all buttons and menus.
HANDLERS: tuple[type[Component], ...] = (
    *(*images.HANDLERS, *cancel.HANDLERS, *hint.HANDLERS, *edit_again.HANDLERS, *panel.HANDLERS),
    *(*menu.HANDLERS, *redraw.HANDLERS, *extend.HANDLERS, *trigger_words.HANDLERS, *COMMAND_HANDLERS),
    *(*share.HANDLERS, *gallery_post.HANDLERS, *describe.HANDLERS, *described.HANDLERS),
)


async def run(settings: Settings) -> None:
    """Run the bot until it is asked to stop. Raises the errors that `bot.cli.startup_errors` explains."""
    if settings.discord_token is None:
        raise StartupError(
            "DISCORD_TOKEN is not set. Put your bot's token into .env, or try `anima sandbox` without one."
        )
    if not settings.anima_models.is_dir():
        raise StartupError(
            f"There is no models folder at {settings.anima_models.absolute()}. Run `anima download`, or set "
            "ANIMA_MODELS to the folder with the model."
        )
    async with open_client(settings, needs_gpu=True) as client, AsyncExitStack() as stack:
        freeze_gc()
        if settings.health_port is not None:
            health = serving(
                client,
                client.workers,
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
                await client.shut_down(shutdown)
                running.cancel()
                await asyncio.wait([running])
        if client.failure is not None:
            raise client.failure


@asynccontextmanager
async def open_client(settings: Settings, needs_gpu: bool = False) -> AsyncIterator[AnimaClient]:
    """A client with its parts, ready to be started. Raises DatabaseRefused, TagFileError, SettingsError.

    needs_gpu: see `load_engine`.
    """
    point_discord_at(settings.discord_api_url, settings.discord_gateway_url)
    tags = await asyncio.to_thread(TagIndex.load, settings.tag_file or OWN_TAGS)
    for problem in tags.problems:
        logger.warning("%s", problem)
    if settings.anima_tagger is not None and (fault := await asyncio.to_thread(missing_files, settings.anima_tagger)):
        logger.error("Pictures cannot be described: %s", fault)
    database = await Database.open(settings.database_url, timeouts=settings.database_timeouts)
    try:
        async with build_client(settings, database, await engines_of(settings, needs_gpu), tags) as client:
            yield client
    finally:
        await database.close()


async def engines_of(settings: Settings, needs_gpu: bool = False) -> dict[str, EngineProcess]:
    """The engines of the settings by name, on this machine or in a cluster."""
    if settings.anima_cluster is None:
        return await local_engines(settings, needs_gpu)
    load = partial(load_remote_engine, settings.anima_cluster, str(settings.cluster_token_file))
    names = [f"cluster-{number}" for number in range(1, settings.anima_engines + 1)]
    return {
        name: EngineProcess(partial(logs.setting_up, settings.log_format, load, name), REMOTE_TIMEOUTS)
        for name in names
    }


async def local_engines(settings: Settings, needs_gpu: bool = False) -> dict[str, EngineProcess]:
    """An engine for each device in the settings, by name."""
    read_ahead(settings.models, settings.anima_diffusion_model, settings.anima_text_encoder, settings.anima_vae)
    devices = await asyncio.to_thread(engine_devices, settings.devices)

    def loading_on(device: str, logged_as: str | None) -> Callable[[], LoadedEngine]:
        load = settings.engine.load_on(device, needs_gpu=needs_gpu)
        return partial(logs.setting_up, settings.log_format, load, logged_as)

    return {
        name: EngineProcess(loading_on(device, name if len(devices) > 1 else None)) for name, device in devices.items()
    }


def build_client(
    settings: Settings, database: Database, engines: Mapping[str, EngineClient], tags: TagIndex
) -> AnimaClient:
    """A client with all its commands, buttons and modals. `engines` by name."""
    client = AnimaClient(settings, database, engines, tags)
    install(client)
    return client


def install(client: AnimaClient) -> None:
    """Make a client answer commands, buttons, menus and modals, including those posted before a restart."""
    client.tree = AnimaCommandTree(client)
    register(client.tree, has_operators=bool(client.operators), can_describe=client.describer.is_on)
    client.add_dynamic_items(*HANDLERS)
    for modal in (
        EditModal(),
        redraw.RedrawModal(),
        described.DescriptionModal(),
        ImagePresetModal(),
        ReportModal(),
        *admin_forms(),
        *operator_forms(),
        *(modal() for modal in COMMAND_MODALS),
    ):
        client.add_view(modal)
        edit_again.FORMS[modal.name] = modal


def freeze_gc() -> None:
    """Exclude all present objects from garbage collection: checking them would block the event loop for 80 ms."""
    gc.collect()
    gc.freeze()
