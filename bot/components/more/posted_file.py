"""Fetches the file of an image that was posted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import aiohttp
import discord

from bot.components.base import AnimaInteraction
from bot.generation.errors import UnusableImage
from bot.generation.source_image import prepare_source
from bot.generation.spec import JobImage, JobSpec
from bot.jobs.delivery.refusals import UNKNOWN_MESSAGE
from bot.messages.attachments import asked_again, fetch, gallery_media, media_of
from bot.ops.logs import with_job_log_context
from bot.text.translation import N_, say
from inference.request import MAX_SIDE
from storage.images import Image
from storage.jobs import Job

logger = logging.getLogger(__name__)

CANNOT_FETCH = N_("I can't open the picture's message, so I can't draw from it.")


async def posted_file(interaction: AnimaInteraction, image: JobImage, max_side: int = MAX_SIDE) -> bytes:
    """The file of an image as PNG, at most `max_side` pixels a side, from a message that shows it.

    Raises UnusableImage.
    """
    media = await _media(interaction, image)
    if media is None:
        raise UnusableImage(say(CANNOT_FETCH))
    data = await fetch(interaction.client, media.url)
    return await asyncio.to_thread(prepare_source, data, max_side)


async def _media(interaction: AnimaInteraction, image: JobImage) -> discord.UnfurledMediaItem | None:
    job, message = image.job, interaction.message
    if message is not None and message.id == job.message_id:
        return _at(image.index, media_of(message))
    if message is not None and job.private:
        return _at(0, gallery_media(message))  # that of who has picked it; what is private cannot be fetched
    if (posted := await _posted_media(interaction.client, job)) is not None:
        return _at(image.index, posted)
    # Where only the person installed the bot, it can fetch no message. This one shows the image too.
    images = await interaction.client.database.images.of_job(job.id)
    stored = next((each for each in images if each.index == image.index and each.deleted_at is None), None)
    return None if stored is None else shown_in(message, stored)


def _at(index: int, media: Sequence[discord.UnfurledMediaItem]) -> discord.UnfurledMediaItem | None:
    return media[index] if index < len(media) else None


def shown_in(message: discord.Message | None, image: Image) -> discord.UnfurledMediaItem | None:
    """An image in a message of ours. A forged press may name any message, so it is known by its address."""
    known_by = image.file_name.rpartition(".")[0] if image.attachment_id is None else f"/{image.attachment_id}/"
    media = [] if message is None else gallery_media(message)
    return next((each for each in media if known_by in each.url), None)


@with_job_log_context
async def message_of(client: discord.Client, job: Job) -> discord.Message | None:
    """A job's message, None if the bot cannot see it (any more). Raises discord.HTTPException if Discord fails."""
    try:
        return await _fetched_message(client, job)
    except (discord.Forbidden, discord.NotFound) as error:
        logger.info("its message could not be fetched (%s)", error)
        return None


async def _posted_media(client: discord.Client, job: Job) -> list[discord.UnfurledMediaItem] | None:
    """What is in a job's message: nothing if it was deleted, None if the bot cannot read it."""
    if JobSpec.is_by_token_only(job) and not job.is_private_message:
        return None  # each refusal counts towards a ban
    try:
        message = await asked_again(lambda: _fetched_message(client, job))
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        if isinstance(error, discord.HTTPException) and error.code == UNKNOWN_MESSAGE:
            return []
        logger.info("job %d: its message could not be fetched (%s)", job.id, error)
        return None
    return None if message is None else media_of(message)


async def _fetched_message(client: discord.Client, job: Job) -> discord.Message | None:
    """None if it has none. Raises discord.HTTPException."""
    if job.message_id is None:
        return None
    return await client.get_partial_messageable(job.channel_id).fetch_message(job.message_id)
