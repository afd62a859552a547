"""The buttons under a picture. Their state is in the custom_id and the database, so they outlive every restart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import ui

if TYPE_CHECKING:
    from bot.client import AnimaClient


class RerollButton(ui.DynamicItem[ui.Button[Any]], template=r"anima:reroll:(?P<job>[0-9]{1,19})"):
    """Draws the same once more, with new seeds."""

    def __init__(self, job_id: int) -> None:
        super().__init__(ui.Button(label="Re-roll", emoji="🎲", custom_id=f"anima:reroll:{job_id}"))
        self.job_id = job_id

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(int(match["job"]))

    async def callback(self, interaction: discord.Interaction[AnimaClient]) -> None:  # type: ignore[override]
        acknowledgement = await interaction.response.defer(thinking=True)
        await interaction.client.intake.reroll(interaction, acknowledgement, self.job_id)


DYNAMIC_ITEMS = (RerollButton,)
"""What the client has to listen for, whatever message it is under."""
