"""Drawing an image larger: in which size, and from which file."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import discord

from bot.components.base import AnimaInteraction
from bot.generation.compose import options_of_image, prompt_of_image
from bot.generation.errors import UnusableImage
from bot.generation.recipe import Recipe
from bot.generation.source_image import prepare_source
from bot.generation.spec import JobImage
from bot.jobs.submission import JobRequest
from bot.messages.attachments import fetch, gallery_media, media_of
from bot.ops.logs import about_its_job
from bot.rules.policy import EffectiveLimits, effective_limits, exceeded_limits
from bot.rules.server_settings import load_server_settings, settings_guild_id
from bot.text.translation import N_, say
from inference.request import TOKEN_SIDE
from storage.jobs import Job

logger = logging.getLogger(__name__)

#: Enough to draw finer lines, too little to draw other things.
UPSCALE_DENOISE = 0.35
#: The first that stays within the limits is taken.
UPSCALE_FACTORS = (2.0, 1.5)

DRAW_ALONE_FIRST = N_(
    "Pictures in a comparison are too small to upscale. Draw this one by itself first, then upscale it."
)
CANNOT_FETCH = N_("I can't open the picture's message, so I can't upscale it.")
ALREADY_MAX_SIZE = N_("This picture is already at the maximum size.")


async def upscale(interaction: AnimaInteraction, image: JobImage) -> JobRequest:
    """Raises UnusableImage where it cannot be drawn larger."""
    if image.spec.comparison is not None:
        raise UnusableImage(say(DRAW_ALONE_FIRST))
    client = interaction.client
    model = await client.model()
    settings = await load_server_settings(client.database.servers, settings_guild_id(interaction))
    size = _larger_size(image.recipe, effective_limits(settings, model.native))
    source = await _posted_file(interaction, image)
    options = replace(options_of_image(image.spec, image.index), size=size, denoise=UPSCALE_DENOISE, count=1)
    prompt = prompt_of_image(image.job.prompt, image.spec, image.index)
    return JobRequest(kind="upscale", prompt=prompt, options=options, source=source, parent=image)


def _larger_size(recipe: Recipe, limits: EffectiveLimits) -> tuple[int, int]:
    for factor in UPSCALE_FACTORS:
        width, height = _scaled(recipe.width, factor), _scaled(recipe.height, factor)
        if not exceeded_limits(limits, size=(width, height)):
            return width, height
    raise UnusableImage(say(ALREADY_MAX_SIZE))


def _scaled(side: int, factor: float) -> int:
    return round(side * factor / TOKEN_SIDE) * TOKEN_SIDE


async def _posted_file(interaction: AnimaInteraction, image: JobImage) -> bytes:
    """The file of an image, from a message that shows it."""
    job, index, message = image.job, image.index, interaction.message
    if message is not None and message.id == job.message_id:
        media = media_of(message)
    elif message is not None and job.private:
        media, index = gallery_media(message), 0  # that of who has picked it; what is private cannot be fetched
    else:
        message = await _message_of(interaction.client, job)
        media = media_of(message) if message is not None else []
    if index >= len(media):
        raise UnusableImage(say(CANNOT_FETCH))
    data = await fetch(interaction.client, media[index].url)
    return await asyncio.to_thread(prepare_source, data)


@about_its_job
async def _message_of(client: discord.Client, job: Job) -> discord.Message | None:
    if job.message_id is None:
        return None
    try:
        return await client.get_partial_messageable(job.channel_id).fetch_message(job.message_id)
    except discord.HTTPException as error:
        logger.info("its message could not be fetched (%s)", error)
        return None
