"""The answer to a request to describe an image: the prompt, with buttons that draw or edit it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
import discord
from discord import ui

from bot.components.base import AnimaInteraction
from bot.generation.errors import UserError
from bot.jobs.describing.describer import Description
from bot.messages.buttons import described_row
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from bot.text.markdown import blockquote
from bot.text.translation import say, say_plural

#: Characters of a message reserved for other texts.
MAX_PROMPT_SHOWN = 3000


async def answer_with_description(interaction: AnimaInteraction, load: Callable[[], Awaitable[bytes]]) -> None:
    """Answer an interaction that was acknowledged privately. `load` gives the image as PNG, or raises UserError."""
    describer = interaction.client.describer
    try:
        description = await describer.describe(interaction, load)
    except UserError as error:
        await describer.refund(interaction)  # the bot may have been killed after it charged, and describe it again now
        await reply_privately(interaction, str(error))
        return
    try:
        await reply_privately(interaction, description_layout(description))
    except (discord.HTTPException, aiohttp.ClientError, OSError):
        await describer.refund(interaction)
        raise


def description_layout(description: Description) -> StaticLayout:
    lines = [f"### {say('What the picture shows')}", blockquote(description.prompt, MAX_PROMPT_SHOWN)]
    if description.left_out:
        lines.append("-# " + _left_out(description.left_out))
    return StaticLayout(ui.TextDisplay("\n".join(lines)), described_row(description.id))


def _left_out(count: int) -> str:
    return say_plural(
        "{count} tag is left out because it may not be drawn here.",
        "{count} tags are left out because they may not be drawn here.",
        count,
    )
