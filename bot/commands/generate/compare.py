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
from bot.generation.sizes import parse_size
from bot.jobs.submission import JobRequest, Origin
from bot.messages.replies import reply_privately
from inference import NativeSettings

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
    **DESCRIPTIONS,
    columns="What changes from left to right",
    column_values="Its values, separated by commas; leave empty for a good selection",
    rows="What changes from top to bottom (optional)",
    row_values="Its values, separated by commas; leave empty for a good selection",
    words="Words of the prompt whose weight changes",
    lora="A LoRA to use, or whose strength changes; 0 draws without it",
)
@app_commands.choices(
    columns=AXES,
    rows=AXES,
)
@app_commands.autocomplete(
    prompt=complete_prompt,
    negative=complete_prompt,
    aspect=complete_aspect,
    lora=complete_lora,
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
    lora: str | None = None,
    negative: PromptText | None = None,
    aspect: AspectText | None = None,
    seed: SeedText | None = None,
    steps: StepsNumber | None = None,
    cfg: CfgNumber | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    artist: ArtistText | None = None,
    turbo: bool | None = None,
    spoiler: bool | None = None,
    private: bool | None = None,
    raw: bool | None = None,
) -> None:
    submitter = interaction.client.submitter
    answers_privately = await submitter.answers_privately(interaction, Options(private=private))
    origin = await Origin.acknowledge(interaction, ephemeral=answers_privately)
    model = await interaction.client.model()
    typed = CompareOptions(
        columns=AxisKind(columns),
        column_values=column_values,
        rows=None if rows is None else AxisKind(rows),
        row_values=row_values,
        words=words,
        lora=lora,
    )
    try:
        options = Options(
            negative=negative,
            artist=artist,
            size=None if aspect is None else parse_size(aspect, model.native.sizes),
            steps=steps,
            cfg_scale=cfg,
            sampler=parse_sampler(sampler),
            scheduler=parse_scheduler(scheduler),
            seed=parse_seed(seed),
            loras=None if lora is None else ((lora, 1.0),),
            turbo=turbo,
            raw=raw,
            spoiler=spoiler,
            private=answers_privately,
        )
        comparison = parse_comparison(typed, _usual(options, model))
    except UserError as error:
        await reply_privately(interaction, str(error))
        return
    request = JobRequest(kind="compare", prompt=prompt, options=options, comparison=comparison)
    await submitter.submit(origin, request)


def _usual(typed: Options, model: ModelInfo) -> NativeSettings:
    """The steps and the CFG around which others are chosen where no values are given."""
    options = resolve_options(typed, Options(), model)
    assert options.steps and options.cfg_scale is not None
    return replace(model.native, steps=options.steps, cfg_scale=options.cfg_scale)
