"""Sends answers that only the user who asked can see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Any

import discord
from discord import ui

from bot.messages.buttons import edit_again_button
from bot.messages.fit import truncate_to_limit
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_CONTENT_LENGTH
from storage.backend.drawing_claim import ClaimLost

#: Discord's error code for an interaction that already has its first answer.
ALREADY_ACKNOWLEDGED = 40060


#: The key in an interaction's `extras` that `note_lost_answer` sets.
FIRST_ANSWER_LOST = "first answer lost"
#: The key that `guard_answer` sets.
GUARD = "guard"


class Loading(Enum):
    """What an interaction's loading message may become. Otherwise it is deleted before a reply."""

    #: Only the user sees it, so a reply replaces it.
    PRIVATE = auto()
    #: It is a job's message, or already shows an answer.
    TAKEN = auto()


def note_loading(interaction: discord.Interaction[Any], loading: Loading) -> None:
    interaction.extras["loading"] = loading


def note_lost_answer(interaction: discord.Interaction[Any]) -> None:
    """Record that Discord may have received this process's first answer to an interaction."""
    interaction.extras[FIRST_ANSWER_LOST] = True


def guard_answer(interaction: discord.Interaction[Any], is_ours: Callable[[], bool] | None) -> None:
    """Call `is_ours` before an interaction's loading message is replaced or deleted; None ends this.

    It returns False if another process with this token may have answered in the message.
    """
    interaction.extras[GUARD] = is_ours


def is_ours(interaction: discord.Interaction[Any]) -> bool:
    """Whether this process may replace or delete the loading message, if there is one."""
    guard: Callable[[], bool] | None = interaction.extras.get(GUARD)
    return guard is None or interaction.extras.get("loading") is Loading.TAKEN or guard()


async def reply_privately(interaction: discord.Interaction[Any], answer: str | StaticLayout) -> None:
    """Send an answer that only the user sees. A loading message that everybody sees is deleted.

    One that only the user sees is edited instead, which can be repeated after a crash without a second message.
    Raises discord.HTTPException, with the code ALREADY_ACKNOWLEDGED if another process with this token has answered,
    and ClaimLost if one may have answered in the loading message.
    """
    if not is_ours(interaction):
        raise ClaimLost("Another bot may have answered.")
    content = _as_arguments(answer)
    loading = interaction.extras.get("loading")
    if loading is Loading.PRIVATE:
        note_loading(interaction, Loading.TAKEN)
        try:
            await interaction.edit_original_response(**content)
            return
        except discord.NotFound:
            pass  # the message was deleted, so send a new one
    if not interaction.response.is_done():
        try:
            await interaction.response.send_message(**content, ephemeral=True)
            return
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED or FIRST_ANSWER_LOST not in interaction.extras:
                raise
    if loading is None and interaction.response.type is discord.InteractionResponseType.deferred_channel_message:
        with suppress(discord.NotFound):  # it was already deleted
            await interaction.delete_original_response()
    await interaction.followup.send(**content, ephemeral=True)


def refused_form(sentence: str, draft_id: int) -> StaticLayout:
    """Why a form was refused, with a button that reopens it with what was typed."""
    row: ui.ActionRow[Any] = ui.ActionRow(edit_again_button(draft_id))
    return StaticLayout(ui.TextDisplay(sentence), row)


async def send_followup(interaction: discord.Interaction[Any], message: str | StaticLayout) -> None:
    """Send the user a private follow-up to the answer, which must have been sent."""
    await interaction.followup.send(**_as_arguments(message), ephemeral=True)


def _as_arguments(message: str | StaticLayout) -> dict[str, Any]:
    return (
        {"content": truncate_to_limit(message, MAX_CONTENT_LENGTH)} if isinstance(message, str) else {"view": message}
    )
