"""`/anima compare`: one prompt and seed with a thing or two varied, as one labelled grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.commands.generate.autocomplete import (
    Choice,
    as_choices,
    complete_artist,
    complete_aspect,
    complete_lora,
    complete_prompt,
    complete_sampler,
    complete_scheduler,
    complete_tags,
)
from bot.commands.generate.command_options import (
    DESCRIPTIONS,
    SPEEDS,
    ArtistText,
    AspectText,
    CfgNumber,
    LoraText,
    PromptText,
    SeedText,
    StepsNumber,
    TagsText,
)
from bot.generation.comparison import (
    MAX_WORDS_LENGTH,
    AxisKind,
    CompareOptions,
    complete_values,
    parse_comparison,
)
from bot.generation.compose import ModelInfo, resolve_options
from bot.generation.errors import UserError
from bot.generation.options import Options
from bot.generation.typed.command import TypedOptions
from bot.jobs.submission import JobRequest, Origin
from bot.messages.replies import reply_privately
from inference import NativeSettings
from inference.request import TurboLora

if TYPE_CHECKING:
    from bot.client import AnimaClient

MAX_VALUES_LENGTH = 300

Values = app_commands.Range[str, 1, MAX_VALUES_LENGTH]
AXES = [app_commands.Choice(name=varied.value, value=varied.value) for varied in AxisKind]


async def complete_column_values(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return await _values(interaction, "columns", typed)


async def complete_row_values(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return await _values(interaction, "rows", typed)


async def _values(interaction: discord.Interaction[AnimaClient], axis: str, typed: str) -> list[Choice]:
    """Of what was chosen for the axis so far."""
    chosen = getattr(interaction.namespace, axis, None)
    if chosen not in list(AxisKind):
        return []
    model = await interaction.client.model_info.soon()
    if model is None:
        return []
    usual = model.native
    return as_choices(complete_values(AxisKind(chosen), typed, usual))


@app_commands.command(
    description="Draw one prompt with several samplers, CFG values, steps, weights or LoRA strengths side by side"
)
@app_commands.describe(
    **{**DESCRIPTIONS, "lora": "A LoRA to use, or whose strength changes; 0 draws without it"},
    columns="What changes from left to right",
    column_values="Its values, separated by commas; leave empty for a good selection",
    rows="What changes from top to bottom (optional)",
    row_values="Its values, separated by commas; leave empty for a good selection",
    words="Words of the prompt whose weight changes",
)
@app_commands.choices(
    columns=AXES,
    rows=AXES,
    speed=SPEEDS,
)
@app_commands.autocomplete(
    prompt=complete_prompt,
    negative=complete_prompt,
    tags=complete_tags,
    aspect=complete_aspect,
    lora=complete_lora,
    lora2=complete_lora,
    lora3=complete_lora,
    artist=complete_artist,
    sampler=complete_sampler,
    scheduler=complete_scheduler,
    column_values=complete_column_values,
    row_values=complete_row_values,
)
async def compare(
    interaction: discord.Interaction[AnimaClient],
    prompt: PromptText,
    columns: str,
    column_values: Values | None = None,
    rows: str | None = None,
    row_values: Values | None = None,
    words: app_commands.Range[str, 1, MAX_WORDS_LENGTH] | None = None,
    lora: LoraText | None = None,
    lora2: LoraText | None = None,
    lora3: LoraText | None = None,
    negative: PromptText | None = None,
    tags: TagsText | None = None,
    aspect: AspectText | None = None,
    seed: SeedText | None = None,
    steps: StepsNumber | None = None,
    cfg: CfgNumber | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    artist: ArtistText | None = None,
    speed: str | None = None,
    spoiler: bool | None = None,
    private: bool | None = None,
    raw: bool | None = None,
) -> None:
    submitter = interaction.client.submitter
    answers_privately = submitter.answers_privately(interaction, Options(private=private))
    origin = await Origin.acknowledge(interaction, ephemeral=answers_privately)
    model = await interaction.client.model()
    typed = TypedOptions(
        prompt=prompt,
        negative=negative,
        tags=tags,
        aspect=aspect,
        steps=steps,
        cfg=cfg,
        sampler=sampler,
        scheduler=scheduler,
        seed=seed,
        lora=lora,
        lora2=lora2,
        lora3=lora3,
        artist=artist,
        speed=speed,
        spoiler=spoiler,
        private=origin.private,
        raw=raw,
    )
    try:
        read = typed.read(model)
        varied = CompareOptions(
            columns=AxisKind(columns),
            column_values=column_values,
            rows=None if rows is None else AxisKind(rows),
            row_values=row_values,
            words=words,
            lora=next((name for name, _ in read.options.loras or ()), None),
        )
        options = replace(read.options, turbo=False) if AxisKind.SPEED in (columns, rows) else read.options
        comparison = parse_comparison(varied, _usual(options, model), _turbo(options, model))
    except UserError as error:
        await reply_privately(interaction, str(error))
        return
    request = JobRequest(
        kind="compare",
        prompt=read.prompt,
        options=options,
        comparison=comparison,
        note="\n".join(read.notes),
    )
    await submitter.submit(origin, request)


def _usual(typed: Options, model: ModelInfo) -> NativeSettings:
    """The steps and the CFG around which others are chosen where no values are given."""
    options = resolve_options(typed, Options(), model)
    assert options.steps and options.cfg_scale is not None
    return replace(model.native, steps=options.steps, cfg_scale=options.cfg_scale)


def _turbo(typed: Options, model: ModelInfo) -> TurboLora | None:
    """The turbo LoRA. Explicit steps or CFG conflict with its own."""
    turbo = model.turbo
    if turbo is None:
        return None
    return replace(turbo, steps=typed.steps or turbo.steps, cfg_scale=typed.cfg_scale or turbo.cfg_scale)
