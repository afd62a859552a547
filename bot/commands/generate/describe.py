"""`/anima describe`: tags for a picture. The command exists only if the operator has set a tagger."""

from __future__ import annotations

from functools import partial

import discord
from discord import app_commands

from bot.client import AnimaClient
from bot.components.description.answer import answer_with_description
from bot.jobs.acknowledgement.origin import Origin
from bot.messages.attachments import fetch_source


@app_commands.command(description="Get tags that say what a picture shows, to draw something like it")
@app_commands.describe(image="The picture to describe")
async def describe(interaction: discord.Interaction[AnimaClient], image: discord.Attachment) -> None:
    await Origin.acknowledge(interaction, ephemeral=True)
    await answer_with_description(interaction, partial(fetch_source, interaction.client, image))
