"""*Extend…*: draws what is around an image, on a larger canvas."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from typing import Any, Self

from discord import ui

from bot.components.base import AnimaInteraction, JobComponent, defer_privately, load_image
from bot.components.images import NO_LONGER_SAVED, RequestButton
from bot.components.more.picture import small_picture
from bot.components.more.posted_file import posted_file
from bot.generation.compose import options_of_image, prompt_of_image
from bot.generation.errors import UnusableImage
from bot.generation.redraw.area import Area
from bot.generation.redraw.extension import SHARES, extension, resized
from bot.generation.sizes import ONE_PASS_TIMES_NATIVE
from bot.generation.source_image import size_of
from bot.generation.spec import JobImage
from bot.jobs.submission import JobRequest
from bot.messages.buttons import action_row, image_template
from bot.messages.layout import StaticLayout
from bot.text.translation import N_, say

NO_ROOM = N_("That would be larger than this server allows.")
MADE_SMALLER = N_("Your picture is made smaller ({width}x{height}) so that the larger canvas fits.")


class Extend(JobComponent, template=image_template("extend")):
    """Shows the ways to extend an image."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_privately(interaction)
        image = await load_image(interaction, self.job_id, self.index)
        if image is None or image.spec.comparison is not None:
            view = StaticLayout(ui.TextDisplay(say(NO_LONGER_SAVED)))
        else:
            words = say("Draw what is around the picture. The picture itself stays as it is, except for a narrow seam.")
            view = StaticLayout(small_picture(interaction, image, f"**{say('Extend')}**\n{words}"))
            for row in (("zoom-out", "zoom-out-far"), ("pan-left", "pan-right", "pan-up", "pan-down")):
                view.add_item(action_row(row, image.job.id, image.index))
        await interaction.edit_original_response(view=view)


class ExtendCanvas(RequestButton, template=image_template(f"({'|'.join(SHARES)})")):
    """Draws a larger canvas around an image. `way`: what is added, a key of `SHARES`."""

    def __init__(self, item: ui.Item[Any], way: str, job_id: int, index: int) -> None:
        super().__init__(item, job_id, index)
        self.way = way

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, match[1], int(match[2]), int(match[3]))

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        return await _request(interaction, image, self.way)


async def _request(interaction: AnimaInteraction, image: JobImage, way: str) -> JobRequest:
    """Raises UnusableImage where no canvas fits, and for a comparison, whose images are one file."""
    if image.spec.comparison is not None:
        raise UnusableImage(say(NO_LONGER_SAVED))
    client = interaction.client
    native = (await client.model()).of(image.recipe.model).native
    limits = await client.submitter.limits(interaction, native)
    source = await posted_file(interaction, image)
    size = await asyncio.to_thread(size_of, source)
    area = min(limits.area, ONE_PASS_TIMES_NATIVE * math.prod(native.sizes[0]))
    made = extension(size, way, max_side=limits.side, area=area)
    if made is None:
        raise UnusableImage(say(NO_ROOM))
    width, height = made.picture
    changes: dict[str, Any] = {"size": made.canvas, "denoise": 1.0, "count": 1, "upscaled": False}
    return JobRequest(
        kind="extend",
        prompt=prompt_of_image(image.job.prompt, image.spec, image.index),
        options=replace(options_of_image(image.spec, image.index), **changes),
        source=await asyncio.to_thread(resized, source, made.picture),
        area=Area(extension=made.added),
        parent=image,
        note="" if made.picture == size else say(MADE_SMALLER, width=width, height=height),
    )


HANDLERS = (Extend, ExtendCanvas)
