"""The button in a hint about a prompt, which draws the corrected prompt instead."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.components.base import AnimaInteraction, JobComponent
from bot.components.requests import acknowledge_prompt, draw_instead, edit
from bot.generation.errors import InvalidOption
from bot.generation.options import Options
from bot.generation.sizes import Size, parse_size
from bot.messages.buttons import FIXED_PROMPT_TEMPLATE
from bot.messages.replies import reply_privately
from bot.prompting import Correction, correct
from inference.request import MAX_PROMPT_LENGTH


class DrawFixed(JobComponent, template=FIXED_PROMPT_TEMPLATE):
    """Draws the corrected prompt instead: a job that is still queued is replaced."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        loaded = await acknowledge_prompt(interaction, self.job_id)
        if loaded is None:
            return
        origin, image = loaded
        correction = await asyncio.to_thread(correct, image.job.prompt, interaction.client.tags)
        try:
            model = (await interaction.client.model()).of(image.recipe.model)
            options = corrected(image.spec.options, correction, model.native.sizes)
        except InvalidOption as error:
            await reply_privately(interaction, str(error))
            return
        await draw_instead(origin, image, edit(image, correction.prompt, options))


def corrected(options: Options, correction: Correction, native: tuple[Size, ...]) -> Options:
    """The options with the settings that were typed into the prompt. Raises InvalidOption for an invalid aspect."""
    negative = ", ".join(filter(None, (options.negative, correction.negative)))
    return replace(
        options,
        negative=negative[:MAX_PROMPT_LENGTH],
        size=options.size if correction.aspect is None else parse_size(correction.aspect, native),
        seed=options.seed if correction.seed is None else correction.seed,
        steps=correction.steps or options.steps,
        cfg_scale=correction.cfg or options.cfg_scale,
    )


HANDLERS = (DrawFixed,)
