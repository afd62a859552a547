"""What every command has in common: the user's language, the rules, and an answer if something goes wrong."""

from __future__ import annotations

import logging
from typing import Any

import discord
from discord import app_commands

from bot.client import AnimaClient
from bot.components.base import AnimaInteraction, refuse, report_error
from bot.text.languages import speak_to

logger = logging.getLogger(__name__)

#: The `extras` of a command that people who are blocked may use too. It must not draw anything.
OPEN_TO_BLOCKED: dict[Any, Any] = {"open_to_blocked": True}


class AnimaCommandTree(app_commands.CommandTree[AnimaClient]):
    async def interaction_check(self, interaction: AnimaInteraction, /) -> bool:
        speak_to(interaction)
        if interaction.type is discord.InteractionType.autocomplete:
            return True
        try:
            interaction.client.begin(interaction)
            return not await refuse(interaction, open_to_blocked=is_open_to_blocked(interaction))
        except Exception as error:
            await report_error(interaction, "a command", error)
            return False

    async def on_error(self, interaction: AnimaInteraction, error: app_commands.AppCommandError, /) -> None:
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if interaction.type is discord.InteractionType.autocomplete:
            logger.warning("an option could not be completed", exc_info=cause)
            return
        name = interaction.command.qualified_name if interaction.command else "a command"
        await report_error(interaction, name, cause)


def is_open_to_blocked(interaction: AnimaInteraction) -> bool:
    command = interaction.command
    return command is None or bool(command.extras.get("open_to_blocked"))
