"""`/anima imagine`: draw a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands

from inference.request import LONGEST_PROMPT

if TYPE_CHECKING:
    from bot.client import AnimaClient

LONGEST_OPTION = 6000
"""What Discord takes for a text option."""


@app_commands.command(description="Draw a picture")
@app_commands.describe(prompt="What to draw: tags, sentences, or both")
async def imagine(
    interaction: discord.Interaction[AnimaClient],
    prompt: app_commands.Range[str, 1, min(LONGEST_OPTION, LONGEST_PROMPT)],
) -> None:
    acknowledgement = await interaction.response.defer(thinking=True)
    await interaction.client.intake.imagine(interaction, acknowledgement, prompt)
