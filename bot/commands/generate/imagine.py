"""`/anima imagine`: draw a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.commands.generate.autocomplete import (
    complete_artist,
    complete_aspect,
    complete_lora,
    complete_preset,
    complete_prompt,
    complete_sampler,
    complete_scheduler,
)
from bot.commands.generate.command_options import (
    DESCRIPTIONS,
    ArtistText,
    AspectText,
    CfgNumber,
    PromptText,
    SeedText,
    StepsNumber,
    parse_sampler,
    parse_scheduler,
    parse_seed,
)
from bot.components.base import AnimaInteraction
from bot.generation.errors import InvalidOption, UserError
from bot.generation.options import Options
from bot.generation.sizes import Size, parse_size, to_multiple
from bot.generation.values import MAX_IMAGES, MAX_LORA_STRENGTH, MIN_DENOISE, MIN_SIDE
from bot.jobs.submission import JobRequest, Origin
from bot.messages.attachments import fetch_source
from bot.messages.replies import reply_privately
from bot.text.markdown import inline
from bot.text.translation import N_, say
from inference.request import MAX_SIDE

if TYPE_CHECKING:
    from bot.client import AnimaClient

NO_PRESET = N_("You have no preset called “{name}”. See yours with `/anima preferences`.")


@app_commands.command(description="Draw a picture")
@app_commands.describe(
    **DESCRIPTIONS,
    width="Exact width in pixels",
    height="Exact height in pixels",
    count="How many pictures",
    lora="A LoRA: an extra style or character",
    lora_strength="How strong the LoRA is; 1 is normal",
    image="A picture to start from",
    denoise="How much to change that picture: 0.3 a little, 0.8 nearly everything",
    preset="One of your presets",
)
@app_commands.autocomplete(
    prompt=complete_prompt,
    negative=complete_prompt,
    aspect=complete_aspect,
    lora=complete_lora,
    artist=complete_artist,
    sampler=complete_sampler,
    scheduler=complete_scheduler,
    preset=complete_preset,
)
async def imagine(
    interaction: discord.Interaction[AnimaClient],
    prompt: PromptText,
    negative: PromptText | None = None,
    aspect: AspectText | None = None,
    width: app_commands.Range[int, MIN_SIDE, MAX_SIDE] | None = None,
    height: app_commands.Range[int, MIN_SIDE, MAX_SIDE] | None = None,
    count: app_commands.Range[int, 1, MAX_IMAGES] | None = None,
    steps: StepsNumber | None = None,
    cfg: CfgNumber | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    seed: SeedText | None = None,
    lora: str | None = None,
    lora_strength: app_commands.Range[float, -MAX_LORA_STRENGTH, MAX_LORA_STRENGTH] | None = None,
    artist: ArtistText | None = None,
    turbo: bool | None = None,
    image: discord.Attachment | None = None,
    denoise: app_commands.Range[float, MIN_DENOISE, 1.0] | None = None,
    spoiler: bool | None = None,
    private: bool | None = None,
    preset: str | None = None,
    raw: bool | None = None,
) -> None:
    submitter = interaction.client.submitter
    answers_privately = await submitter.answers_privately(interaction, Options(private=private), preset)
    origin = await Origin.acknowledge(interaction, ephemeral=answers_privately)
    try:
        native = (await interaction.client.model()).native
        options = Options(
            negative=negative,
            artist=artist,
            size=_size(aspect, width, height, native.sizes),
            count=count,
            steps=steps,
            cfg_scale=cfg,
            sampler=parse_sampler(sampler),
            scheduler=parse_scheduler(scheduler),
            seed=parse_seed(seed),
            loras=None if lora is None else ((lora, 1.0 if lora_strength is None else lora_strength),),
            turbo=turbo,
            denoise=denoise,
            raw=raw,
            spoiler=spoiler,
        ).merged_over(await _preset(interaction, preset))
        source = None if image is None else await fetch_source(interaction.client, image)
    except UserError as error:
        await reply_privately(interaction, str(error))
        return
    options = Options(private=answers_privately).merged_over(options)
    await submitter.submit(origin, JobRequest(kind="imagine", prompt=prompt, options=options, source=source))


def _size(aspect: str | None, width: int | None, height: int | None, native: tuple[Size, ...]) -> Size | None:
    if aspect is None and width is None and height is None:
        return None
    usual = native[0] if aspect is None else parse_size(aspect, native)
    return to_multiple(width or usual[0]), to_multiple(height or usual[1])


async def _preset(interaction: AnimaInteraction, name: str | None) -> Options:
    if name is None:
        return Options()
    kept = await interaction.client.submitter.preset(interaction.user.id, name)
    if kept is None:
        raise InvalidOption(say(NO_PRESET, name=inline(name, 100)))
    return kept
