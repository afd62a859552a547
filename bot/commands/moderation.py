"""The message menus *Anima: moderate…*, for moderators, and *Anima: report*, for every member."""

from __future__ import annotations

import discord
from discord import app_commands, ui

from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction
from bot.components.moderation.panel import moderated_job, moderation_panel
from bot.components.moderation.report import NOTHING_TO_REPORT, ReportModal, why_not_reported
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from bot.text.translation import say


@app_commands.context_menu(name="Anima: moderate…", extras=OPEN_TO_BLOCKED)
@app_commands.default_permissions(manage_messages=True)
async def moderate(interaction: AnimaInteraction, message: discord.Message) -> None:
    await interaction.response.defer(ephemeral=True)
    found = await moderated_job(interaction, message)
    if isinstance(found, str):
        view = StaticLayout(ui.TextDisplay(found))
    else:
        view = await moderation_panel(interaction, found)
    await interaction.edit_original_response(view=view)


@app_commands.context_menu(name="Anima: report", extras=OPEN_TO_BLOCKED)
async def report(interaction: AnimaInteraction, message: discord.Message) -> None:
    job = await interaction.client.database.jobs.by_message(message.id)
    refusal = await why_not_reported(interaction, job)
    if refusal is not None:
        await reply_privately(interaction, refusal)
    elif job is None or message.author != interaction.client.user:
        await reply_privately(interaction, say(NOTHING_TO_REPORT))
    else:
        await interaction.response.send_modal(ReportModal.of(job))
