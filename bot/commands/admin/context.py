"""Checks who is an admin; reads and saves a server's settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import discord

from bot.commands.admin import summaries
from bot.components.base import AnimaInteraction
from bot.generation.compose import ModelInfo
from bot.generation.options import Options
from bot.generation.sizes import example_size
from bot.jobs.engines import ModelUnavailable
from bot.jobs.model.choice import ModelChoice
from bot.messages.replies import reply_privately
from bot.rules.policy import defaults_beyond_limits
from bot.rules.server_settings import ServerSettings
from bot.text.translation import N_, say, say_plural
from inference import NativeSettings
from inference.weights.modelspec import ANIMA
from storage.database import Database

#: Seconds that a page waits for the models.
MODEL_TIMEOUT = 0.5

NOT_ADMIN = N_("You need the **Manage Server** permission for this.")
ONLY_IN_SERVERS = N_("This only works in a server. Use it in your server.")
SAVED = N_("Saved.")
BEYOND_LIMITS = N_("But these defaults are above the limits, so requests that use them are refused: {defaults}.")
DROPPED = N_("{count} queued job was cancelled.", "{count} queued jobs were cancelled.")
CHANGED_NOTHING_SAVED = N_("The settings were changed in the meantime, so nothing was saved. Check them and try again.")
UNCHANGED = N_("Nothing was changed.")


@dataclass(frozen=True)
class AdminContext:
    """One server as the database and Discord have it: the data of a page."""

    database: Database
    guild_id: int
    guild: discord.Guild | None
    settings: ServerSettings
    version: int
    #: Whether Discord refused the last post in the log channel.
    log_refused: bool = False
    #: The operator's default model, which knows all others; None while they are not known.
    models: ModelInfo | None = None

    @property
    def example_size(self) -> str:
        """One of the model's native sizes, in the format users type."""
        return example_size((_native(self.models, self.settings) or ANIMA).sizes)


async def load_context(interaction: AnimaInteraction) -> AdminContext:
    assert interaction.guild_id is not None
    database = interaction.client.database
    stored = await database.servers.settings(interaction.guild_id)
    settings = ServerSettings.of(stored.settings)
    log_refused = interaction.client.log_channels.was_refused(interaction.guild_id)
    return AdminContext(
        database,
        interaction.guild_id,
        await interaction.client.server_lookup.server(
            interaction.guild_id, settings.log_channel_id, settings.gallery_channel_id
        ),
        settings,
        stored.version,
        log_refused,
        await _models(interaction),
    )


async def is_admin(interaction: AnimaInteraction) -> bool:
    """Whether the user may do this; if not, they get an answer. Discord hides the command only by default."""
    refusal = why_not_admin(interaction)
    if refusal is not None:
        await reply_privately(interaction, refusal)
    return refusal is None


def why_not_admin(interaction: AnimaInteraction) -> str | None:
    """Why the user may not do this; None if they may."""
    if interaction.guild_id is None:
        return say(ONLY_IN_SERVERS)
    if not (interaction.permissions.manage_guild or interaction.permissions.administrator):
        return say(NOT_ADMIN)
    return None


class ChangedMeanwhile(Exception):
    """Somebody else was quicker: what was shown is outdated, and nothing was written."""


async def save(interaction: AnimaInteraction, context: AdminContext, new: ServerSettings) -> str:
    """Writes the change and its line in the log; returns what to say. Raises ChangedMeanwhile."""
    changes = context.settings.changes_to(new)
    if not changes:
        return say(UNCHANGED)
    if (
        await context.database.servers.change(context.guild_id, changes, by=interaction.user.id, seen=context.version)
        is None
    ):
        raise ChangedMeanwhile
    said = [say(SAVED)]
    if new.paused and not context.settings.paused:
        dropped = await interaction.client.moderation.drop_waiting(context.guild_id, by=interaction.user.id)
        if dropped:
            said.append(say_plural(*DROPPED, dropped))
    beyond = defaults_beyond_limits(new, _native(context.models, new))
    if beyond:
        said.append(say(BEYOND_LIMITS, defaults=summaries.of_names(beyond)))
    return " ".join(said)


async def change(interaction: AnimaInteraction, new: Callable[[AdminContext], ServerSettings]) -> str:
    """Applies a change to the current settings; retries if somebody else saves first. Returns what to say."""
    while True:
        context = await load_context(interaction)
        with suppress(ChangedMeanwhile):
            return await save(interaction, context, new(context))


def _native(models: ModelInfo | None, settings: ServerSettings) -> NativeSettings | None:
    """The native settings of the server's default model."""
    return None if models is None else ModelChoice.of(models, settings, Options()).usual.native


async def _models(interaction: AnimaInteraction) -> ModelInfo | None:
    """The models; None if they are not known soon because the engine is still starting."""
    try:
        async with asyncio.timeout(MODEL_TIMEOUT):
            return await interaction.client.model()
    except (TimeoutError, ModelUnavailable):  # the settings can be changed all the same
        return None
