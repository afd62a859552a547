"""Who may use `/anima-operator`."""

from __future__ import annotations

from bot.components.base import AnimaInteraction
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say

NOT_OPERATOR = N_("Only the people who run this bot can use this.")


async def is_operator(interaction: AnimaInteraction) -> bool:
    """Whether the user may do this; if not, they get an answer."""
    if interaction.user.id in interaction.client.operators:
        return True
    await reply_privately(interaction, say(NOT_OPERATOR))
    return False
