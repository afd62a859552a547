"""`/anima compare`: one prompt and seed with one or two settings varied, as one labelled grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.commands.generate.autocomplete import COMPLETIONS, Choice, as_choices, at_once, choice_soon, model_so_far
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
from bot.commands.generate.compare_form import TypedComparison, draw_comparison
from bot.generation.comparison import MAX_WORDS_LENGTH, AxisKind, complete_values

if TYPE_CHECKING:
    from bot.client import AnimaClient

MAX_VALUES_LENGTH = 300

Values = app_commands.Range[str, 1, MAX_VALUES_LENGTH]
AXES = [app_commands.Choice(name=varied.value, value=varied.value) for varied in AxisKind]


@at_once
async def complete_column_values(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return await _values(interaction, "columns", typed)


@at_once
async def complete_row_values(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return await _values(interaction, "rows", typed)


async def _values(interaction: discord.Interaction[AnimaClient], axis: str, typed: str) -> list[Choice]:
    """Of what was chosen for the axis so far."""
    chosen = getattr(interaction.namespace, axis, None)
    if chosen not in list(AxisKind):
        return []
    choice = await choice_soon(interaction)
    if choice is None:
        return []
    usual = model_so_far(interaction, choice).native
    return as_choices(complete_values(AxisKind(chosen), typed, usual, choice.on_offer().models))


@app_commands.command(
    description="Draw one prompt with several models, samplers, CFG values, steps, weights or LoRAs side by side"
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
    **COMPLETIONS,
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
    model: ModelText | None = None,
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
    typed = TypedComparison(
        prompt=prompt,
        columns=columns,
        column_values=column_values,
        rows=rows,
        row_values=row_values,
        words=words,
        negative=negative,
        tags=tags,
        aspect=aspect,
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
        spoiler=spoiler,
        private=private,
        raw=raw,
    )
    await draw_comparison(interaction, typed)
