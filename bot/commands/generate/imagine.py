"""`/anima imagine`: draw a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.commands.generate.autocomplete import COMPLETIONS, complete_preset
from bot.commands.generate.command_options import (
    DESCRIPTIONS,
    SPEEDS,
    ArtistText,
    AspectText,
    CfgNumber,
    LoraText,
    ModelText,
    PromptText,
    SeedText,
    StepsNumber,
    TagsText,
)
from bot.components.base import AnimaInteraction
from bot.generation.errors import InvalidOption, UserError
from bot.generation.options import Options
from bot.generation.redraw.area import Area
from bot.generation.typed.command import TypedOptions
from bot.generation.values import MAX_IMAGES, MIN_DENOISE
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.submission import JobRequest
from bot.messages.attachments import fetch_mask, fetch_upload
from bot.messages.replies import reply_privately
from bot.text.markdown import inline
from bot.text.translation import N_, say

if TYPE_CHECKING:
    from bot.client import AnimaClient

NO_IMAGE = N_("`denoise` does nothing without a picture in the `image` option.")
NO_IMAGE_FOR_MASK = N_("`mask` marks the part of a picture to redraw, so it needs a picture in the `image` option.")
NO_PRESET = N_("You have no preset called “{name}”. See yours with `/anima preferences`.")


@app_commands.command(description="Draw a picture")
@app_commands.describe(
    **DESCRIPTIONS,
    count="How many pictures",
    image="A picture to start from",
    mask="Which part of that picture to redraw: white on black",
    denoise="How much to change that picture: 0.3 a little, 0.8 nearly everything",
    preset="One of your presets",
)
@app_commands.choices(speed=SPEEDS)
@app_commands.autocomplete(
    **COMPLETIONS,
    preset=complete_preset,
)
async def imagine(
    interaction: discord.Interaction[AnimaClient],
    prompt: PromptText,
    negative: PromptText | None = None,
    tags: TagsText | None = None,
    aspect: AspectText | None = None,
    count: app_commands.Range[int, 1, MAX_IMAGES] | None = None,
    steps: StepsNumber | None = None,
    cfg: CfgNumber | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    seed: SeedText | None = None,
    model: ModelText | None = None,
    lora: LoraText | None = None,
    lora2: LoraText | None = None,
    lora3: LoraText | None = None,
    artist: ArtistText | None = None,
    speed: str | None = None,
    image: discord.Attachment | None = None,
    mask: discord.Attachment | None = None,
    denoise: app_commands.Range[float, MIN_DENOISE, 1.0] | None = None,
    spoiler: bool | None = None,
    private: bool | None = None,
    preset: str | None = None,
    raw: bool | None = None,
) -> None:
    submitter = interaction.client.submitter
    answers_privately = submitter.answers_privately(interaction, Options(private=private), preset)
    origin = await Origin.acknowledge(interaction, ephemeral=answers_privately)
    typed = TypedOptions(
        prompt=prompt,
        negative=negative,
        tags=tags,
        aspect=aspect,
        count=count,
        steps=steps,
        cfg=cfg,
        sampler=sampler,
        scheduler=scheduler,
        seed=seed,
        model=model,
        lora=lora,
        lora2=lora2,
        lora3=lora3,
        artist=artist,
        speed=speed,
        denoise=denoise,
        spoiler=spoiler,
        private=origin.private,
        raw=raw,
    )
    try:
        kept = await _preset(interaction, preset)
        read = typed.read((await submitter.model_choice(interaction)).model(kept))
        options = read.options.merged_over(kept)
        files = await _files(interaction, image, mask)
    except UserError as error:
        await reply_privately(interaction, str(error))
        return
    notes = [*read.notes, *([say(NO_IMAGE)] if denoise is not None and image is None else [])]
    if files.area is not None and options.denoise is None:
        options = replace(options, denoise=1.0)  # what is outside stays anyway
    request = replace(files, prompt=read.prompt, options=options, note="\n".join(notes))
    await submitter.submit(origin, request)


async def _files(
    interaction: AnimaInteraction, image: discord.Attachment | None, mask: discord.Attachment | None
) -> JobRequest:
    """A request with the uploaded files and nothing else yet. Raises UserError."""
    request = JobRequest(kind="imagine", prompt="", options=Options())
    if image is None:
        if mask is not None:
            raise InvalidOption(say(NO_IMAGE_FOR_MASK))
        return request
    upload = await fetch_upload(interaction.client, image)
    if mask is None:
        return replace(request, source=upload.source, mask=upload.transparent)
    file = await fetch_mask(interaction.client, mask, upload.source)
    return replace(request, source=upload.source, mask=file, area=Area(masked=True))


async def _preset(interaction: AnimaInteraction, name: str | None) -> Options:
    if name is None:
        return Options()
    kept = await interaction.client.submitter.preset(interaction.user.id, name)
    if kept is None:
        raise InvalidOption(say(NO_PRESET, name=inline(name, 100)))
    return kept
