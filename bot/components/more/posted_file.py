"""Fetches the file of an image that was posted."""

from __future__ import annotations

import asyncio
import logging

import discord

from bot.components.base import AnimaInteraction
from bot.generation.errors import UnusableImage
from bot.generation.source_image import prepare_source
from bot.generation.spec import JobImage
from bot.messages.attachments import fetch, gallery_media, media_of
from bot.ops.logs import about_its_job
from bot.text.translation import N_, say
from inference.request import MAX_SIDE
from storage.jobs import Job

logger = logging.getLogger(__name__)

CANNOT_FETCH = N_("I can't open the picture's message, so I can't draw from it.")


async def posted_file(interaction: AnimaInteraction, image: JobImage, longest: int = MAX_SIDE) -> bytes:
    """The file of an image as PNG, at most `longest` pixels a side, from a message that shows it.

    Raises UnusableImage.
    """
    job, index, message = image.job, image.index, interaction.message
    if message is not None and message.id == job.message_id:
        media = media_of(message)
    elif message is not None and job.private:
        media, index = gallery_media(message), 0  # that of who has picked it; what is private cannot be fetched
    else:
        media = await _posted_media(interaction.client, job)
    if index >= len(media):
        raise UnusableImage(say(CANNOT_FETCH))
    data = await fetch(interaction.client, media[index].url)
    return await asyncio.to_thread(prepare_source, data, longest)


@about_its_job
async def message_of(client: discord.Client, job: Job) -> discord.Message | None:
    """A job's message, None if the bot cannot see it (any more). Raises discord.HTTPException if Discord fails."""
    if job.message_id is None:
        return None
    try:
        return await client.get_partial_messageable(job.channel_id).fetch_message(job.message_id)
    except (discord.Forbidden, discord.NotFound) as error:
        logger.info("its message could not be fetched (%s)", error)
        return None


async def _posted_media(client: discord.Client, job: Job) -> list[discord.UnfurledMediaItem]:
    try:
        message = await message_of(client, job)
    except discord.HTTPException as error:
        raise UnusableImage(say(CANNOT_FETCH)) from error
    return [] if message is None else media_of(message)
