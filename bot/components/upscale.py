"""*Upscale*: chooses size and source file. What is too large for one pass is drawn in tiles."""

from __future__ import annotations

from dataclasses import replace

from bot.components.base import AnimaInteraction
from bot.components.more.posted_file import posted_file
from bot.generation.compose import options_of_image, prompt_of_image
from bot.generation.errors import UnusableImage
from bot.generation.sizes import larger_size, tile_for
from bot.generation.spec import JobImage
from bot.jobs.submission import JobRequest
from bot.rules.policy import exceeded_limits
from bot.text.translation import N_, say

#: `denoise`: enough to draw finer lines, too little to draw other things.
UPSCALE_DENOISE = 0.35
#: The same in tiles, which do not see their neighbours.
TILED_DENOISE = 0.2

DRAW_ALONE_FIRST = N_(
    "Pictures in a comparison are too small to upscale. Draw this one by itself first, then upscale it."
)
ALREADY_MAX_SIZE = N_("This picture is already at the maximum size.")


async def upscale(interaction: AnimaInteraction, image: JobImage) -> JobRequest:
    """Raises UnusableImage where it cannot be drawn larger."""
    if image.spec.comparison is not None:
        raise UnusableImage(say(DRAW_ALONE_FIRST))
    client = interaction.client
    model = (await client.model()).of(image.recipe.model)
    limits = (await client.submitter.limits(interaction, model.native)).for_upscales
    recipe = image.recipe
    size = larger_size((recipe.width, recipe.height), lambda size: not exceeded_limits(limits, size=size))
    if size is None:
        raise UnusableImage(say(ALREADY_MAX_SIZE))
    source = await posted_file(interaction, image)
    own = options_of_image(image.spec, image.index)
    denoise = UPSCALE_DENOISE if tile_for(size, model.native.sizes[0]) is None else TILED_DENOISE
    options = replace(own, size=size, denoise=denoise, count=1, upscaled=True)
    prompt = prompt_of_image(image.job.prompt, image.spec, image.index)
    return JobRequest(kind="upscale", prompt=prompt, options=options, source=source, parent=image)
