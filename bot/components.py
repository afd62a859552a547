"""The buttons under a picture. Their state is in the custom_id and the database, so they outlive every restart."""

from __future__ import annotations

from discord import ui

from bot.interactions import Asked, Component


class RerollButton(Component, template=r"anima:reroll:([0-9]{1,18})"):
    """Draws the same once more, with new seeds."""

    def __init__(self, job_id: int) -> None:
        super().__init__(ui.Button(label="Re-roll", emoji="🎲", custom_id=f"anima:reroll:{job_id}"))
        self.job_id = job_id

    async def used(self, interaction: Asked) -> None:
        acknowledgement = await interaction.response.defer(thinking=True)
        await interaction.client.intake.reroll(interaction, acknowledgement, self.job_id)


COMPONENTS = (RerollButton,)
"""What the client has to listen for, whatever message it is under."""
