"""Answers that only the person who asked can see."""

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

#: Discord's error code for an interaction that has its first answer.
ALREADY_ACKNOWLEDGED = 40060


#: In an interaction's `extras`, from `note_lost_answer`.
FIRST_ANSWER_LOST = "first answer lost"
#: The same, from `guard_answer`.
GUARD = "guard"


class Loading(Enum):
    """What an interaction's loading message may become. Otherwise it is deleted before a reply."""

    #: Only the person sees it, so a reply takes its place.
    PRIVATE = auto()
    #: It is a job's message, or has its answer.
    TAKEN = auto()


def note_loading(interaction: discord.Interaction[Any], loading: Loading) -> None:
    interaction.extras["loading"] = loading


def note_lost_answer(interaction: discord.Interaction[Any]) -> None:
    """Record that Discord may have received this process's first answer to an interaction."""
    interaction.extras[FIRST_ANSWER_LOST] = True


def guard_answer(interaction: discord.Interaction[Any], is_ours: Callable[[], bool] | None) -> None:
    """Ask `is_ours` before the loading message of an interaction is replaced or taken back; None: no longer.

    False: another process with this token may have answered in it.
    """
    interaction.extras[GUARD] = is_ours


def is_ours(interaction: discord.Interaction[Any]) -> bool:
    """Whether the loading message, if there is one, is this process's to replace or to take back."""
    guard: Callable[[], bool] | None = interaction.extras.get(GUARD)
    return guard is None or interaction.extras.get("loading") is Loading.TAKEN or guard()


async def reply_privately(interaction: discord.Interaction[Any], answer: str | StaticLayout) -> None:
    """Answer the person alone. A loading message that everybody sees is taken back.

    One that only the person sees is edited instead. That can be repeated after a crash without saying it twice.
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
            pass  # deleted, so it goes into a new message
    if not interaction.response.is_done():
        try:
            await interaction.response.send_message(**content, ephemeral=True)
            return
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED or FIRST_ANSWER_LOST not in interaction.extras:
                raise
    if loading is None and interaction.response.type is discord.InteractionResponseType.deferred_channel_message:
        with suppress(discord.NotFound):  # somebody was quicker
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
