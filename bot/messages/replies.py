"""Answers that only the person who asked can see."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import discord
from discord import ui

from bot.messages.buttons import edit_again_button
from bot.messages.fit import cut
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_CONTENT_LENGTH

#: Discord's error code for an interaction that has its first answer.
ALREADY_ACKNOWLEDGED = 40060


async def reply_privately(interaction: discord.Interaction[Any], answer: str | StaticLayout) -> None:
    """Answer the person alone. An answer that everybody would see and that has nothing in it yet is taken back."""
    content = _as_arguments(answer)
    if not interaction.response.is_done():
        try:
            await interaction.response.send_message(**content, ephemeral=True)
            return
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED:
                raise
        # Discord took the first answer, but we never learned of it.
    if interaction.response.type is discord.InteractionResponseType.deferred_channel_message:
        with suppress(discord.NotFound):  # somebody was quicker
            await interaction.delete_original_response()
    await interaction.followup.send(**content, ephemeral=True)


def refused_form(sentence: str, draft_id: int) -> StaticLayout:
    """Why a form was refused, with a button that reopens it with what was typed."""
    row: ui.ActionRow[Any] = ui.ActionRow(edit_again_button(draft_id))
    return StaticLayout(ui.TextDisplay(sentence), row)


async def send_followup(interaction: discord.Interaction[Any], message: str | StaticLayout) -> None:
    """Tell the person alone something next to the answer, which must have something in it by now."""
    await interaction.followup.send(**_as_arguments(message), ephemeral=True)


def _as_arguments(message: str | StaticLayout) -> dict[str, Any]:
    return {"content": cut(message, MAX_CONTENT_LENGTH)} if isinstance(message, str) else {"view": message}
