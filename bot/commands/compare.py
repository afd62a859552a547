"""`/anima compare`: one prompt and seed with a thing or two varied, as one labelled grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.commands.imagine import (
    MAX_CHOICE_LENGTH,
    MAX_CHOICES,
    Choice,
    Text,
    complete_artist,
    complete_aspect,
    complete_lora,
    complete_prompt,
    seed_of,
    untranslated,
)
from bot.components.base import reply_privately
from bot.generation.comparison import (
    MAX_WORDS_LENGTH,
    AxisKind,
    CompareOptions,
    comparison_of,
    completed,
)
from bot.generation.compose import ModelInfo, resolve_options
from bot.generation.errors import UserError
from bot.generation.options import Options
from bot.generation.sizes import size_of
from bot.generation.values import MAX_ARTISTS_LENGTH, MIN_CFG_SCALE
from bot.jobs.submission import JobRequest
from inference import NativeSettings
from inference.request import MAX_CFG_SCALE, MAX_STEPS, SAMPLERS, SCHEDULERS

if TYPE_CHECKING:
    from bot.client import AnimaClient

MAX_VALUES_LENGTH = 300

Values = app_commands.Range[str, 1, MAX_VALUES_LENGTH]
AXES = [app_commands.Choice(name=varied.value, value=varied.value) for varied in AxisKind]


@app_commands.command(
    description="See what samplers, schedulers, CFG, steps, weights or a LoRA do: one picture in many ways"
)
@app_commands.describe(
    prompt="What to draw: tags, sentences, or both",
    columns="What changes from left to right",
    column_values="Its values, with commas between; a few good ones if you leave this away",
    rows="What changes from top to bottom, if anything",
    row_values="Its values, with commas between; a few good ones if you leave this away",
    words="Words of the prompt whose weight is varied",
    lora="A LoRA to draw with, or whose strength is varied; 0 draws without it",
    negative="What not to draw",
    aspect="Shape and size: one that is offered, a ratio such as 2:3, or a size such as 832x1216",
    seed="The same seed and settings give the same picture",
    steps="More steps draw finer and take longer",
    cfg="How closely to follow the prompt",
    sampler="How noise becomes a picture; each has its own look",
    scheduler="Where the steps are spent",
    artist="One or more artists, with commas between; @ is added",
    turbo="Few steps, quickly drawn",
    spoiler="Hide the picture until it is clicked",
    private="Show it to nobody but you",
    raw="Add nothing to the prompt: neither the recommended quality tags nor the negative",
)
@app_commands.choices(
    columns=AXES,
    rows=AXES,
    sampler=untranslated(SAMPLERS),
    scheduler=untranslated(SCHEDULERS),
)
@app_commands.autocomplete(
    prompt=complete_prompt, negative=complete_prompt, aspect=complete_aspect, lora=complete_lora, artist=complete_artist
)
async def compare(
    interaction: discord.Interaction[AnimaClient],
    prompt: Text,
    columns: str,
    column_values: Values | None = None,
    rows: str | None = None,
    row_values: Values | None = None,
    words: app_commands.Range[str, 1, MAX_WORDS_LENGTH] | None = None,
    lora: str | None = None,
    negative: Text | None = None,
    aspect: app_commands.Range[str, 1, MAX_CHOICE_LENGTH] | None = None,
    seed: app_commands.Range[str, 1, 20] | None = None,
    steps: app_commands.Range[int, 1, MAX_STEPS] | None = None,
    cfg: app_commands.Range[float, MIN_CFG_SCALE, MAX_CFG_SCALE] | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    artist: app_commands.Range[str, 1, MAX_ARTISTS_LENGTH] | None = None,
    turbo: bool | None = None,
    spoiler: bool | None = None,
    private: bool | None = None,
    raw: bool | None = None,
) -> None:
    intake = interaction.client.intake
    answers_privately = await intake.answers_privately(interaction, Options(private=private))
    acknowledgement = await interaction.response.defer(thinking=True, ephemeral=answers_privately)
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
        said = Options(
            negative=negative,
            artist=artist,
            size=None if aspect is None else size_of(aspect, model.native.sizes),
            steps=steps,
            cfg_scale=cfg,
            sampler=sampler,
            scheduler=scheduler,
            seed=seed_of(seed),
            loras=None if lora is None else ((lora, 1.0),),
            turbo=turbo,
            raw=raw,
            spoiler=spoiler,
            private=answers_privately,
        )
        comparison = comparison_of(typed, _usual(said, model))
    except UserError as error:
        await reply_privately(interaction, str(error))
        return
    wish = JobRequest(kind="compare", prompt=prompt, said=said, compared=comparison)
    await intake.accept(interaction, acknowledgement, wish)


def _usual(said: Options, model: ModelInfo) -> NativeSettings:
    """The steps and the CFG around which others are chosen where no values are given."""
    options = resolve_options(said, Options(), model)
    assert options.steps and options.cfg_scale is not None
    return replace(model.native, steps=options.steps, cfg_scale=options.cfg_scale)


# --- Completion ---


@compare.autocomplete("column_values")
async def complete_column_values(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return await _values(interaction, "columns", typed)


@compare.autocomplete("row_values")
async def complete_row_values(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return await _values(interaction, "rows", typed)


async def _values(interaction: discord.Interaction[AnimaClient], axis: str, typed: str) -> list[Choice]:
    """Of what was chosen for the axis so far."""
    chosen = getattr(interaction.namespace, axis, None)
    if chosen not in list(AxisKind):
        return []
    usual = (await interaction.client.model()).native
    texts = [text for text in completed(AxisKind(chosen), typed, usual) if 0 < len(text) <= MAX_CHOICE_LENGTH]
    return [Choice(name=text, value=text) for text in texts[:MAX_CHOICES]]
