"""The message menus *Anima: moderate…*, for moderators, and *Anima: report*, for every member."""

from __future__ import annotations

import discord
from discord import app_commands, ui

from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, defer_privately, open_form
from bot.components.moderation.panel import job_shown_in, moderated_job, moderation_panel
from bot.components.moderation.report import ReportModal, report_form
from bot.messages.layout import StaticLayout


@app_commands.context_menu(name="Anima: moderate…", extras=OPEN_TO_BLOCKED)
@app_commands.default_permissions(manage_messages=True)
async def moderate(interaction: AnimaInteraction, message: discord.Message) -> None:
    await defer_privately(interaction)
    found = await moderated_job(interaction, message)
    if isinstance(found, str):
        view = StaticLayout(ui.TextDisplay(found))
    else:
        view = await moderation_panel(interaction, found)
    await interaction.edit_original_response(view=view)


@app_commands.context_menu(name="Anima: report", extras=OPEN_TO_BLOCKED)
async def report(interaction: AnimaInteraction, message: discord.Message) -> None:
    await open_form(interaction, _report_form(interaction, message))


async def _report_form(interaction: AnimaInteraction, message: discord.Message) -> ReportModal | str:
    is_ours = message.author == interaction.client.user
    return await report_form(interaction, await job_shown_in(interaction.client, message) if is_ours else None)
