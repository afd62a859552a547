"""Who may use `/anima-operator`."""

from __future__ import annotations

from bot.components.base import AnimaInteraction
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say

NOT_OPERATOR = N_("Only the people who run this bot can use this.")


async def is_operator(interaction: AnimaInteraction) -> bool:
    """Whether the user may do this; if not, they get an answer."""
    refusal = why_no_operator(interaction)
    if refusal is not None:
        await reply_privately(interaction, refusal)
    return refusal is None


def why_no_operator(interaction: AnimaInteraction) -> str | None:
    """Why the user may not do this; None if they may."""
    return None if interaction.user.id in interaction.client.operators else say(NOT_OPERATOR)
