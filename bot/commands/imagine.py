"""`/anima imagine`: draw a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.components.base import AnimaInteraction, reply_privately
from bot.generation.errors import InvalidOption
from bot.generation.options import Options
from bot.generation.sizes import Size, described, size_of, to_multiple
from bot.generation.values import (
    MAX_ARTISTS_LENGTH,
    MAX_IMAGES,
    MAX_LORA_STRENGTH,
    MIN_CFG_SCALE,
    MIN_DENOISE,
    MIN_SIDE,
)
from bot.text.markdown import inline
from bot.text.translation import say
from inference.request import (
    MAX_CFG_SCALE,
    MAX_PROMPT_LENGTH,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    SAMPLERS,
    SCHEDULERS,
)

if TYPE_CHECKING:
    from bot.client import AnimaClient

MAX_OPTION_LENGTH = 6000
"""What Discord takes for a text option."""
MAX_CHOICES = 25
MAX_CHOICE_LENGTH = 100

WRONG_SEED = "A seed is a whole number from 0 to {most}."
NO_PRESET = "You have no preset called “{name}”. `/anima preferences` shows yours."

Text = app_commands.Range[str, 1, min(MAX_OPTION_LENGTH, MAX_PROMPT_LENGTH)]
Choice = app_commands.Choice[str]


def untranslated(names: Iterable[str]) -> list[Choice]:
    """Choices that are called the same in every language."""
    return [Choice(name=app_commands.locale_str(name, translated=False), value=name) for name in names]


@app_commands.command(description="Draw a picture")
@app_commands.describe(
    prompt="What to draw: tags, sentences, or both",
    negative="What not to draw",
    aspect="Shape and size: one that is offered, a ratio such as 2:3, or a size such as 832x1216",
    width="Exact width in pixels",
    height="Exact height in pixels",
    count="How many pictures",
    steps="More steps draw finer and take longer",
    cfg="How closely to follow the prompt",
    sampler="How noise becomes a picture; each has its own look",
    scheduler="Where the steps are spent",
    seed="The same seed and settings give the same picture",
    lora="A LoRA: a style or a character that the model was taught besides",
    lora_strength="How strongly the LoRA works; 1 is usual",
    artist="One or more artists, with commas between; @ is added",
    turbo="Few steps, quickly drawn",
    image="A picture to draw from",
    denoise="How much of that picture to draw anew: 0.3 a little, 0.8 nearly all",
    spoiler="Hide the picture until it is clicked",
    private="Show it to nobody but you",
    preset="One of your presets",
    raw="Add nothing to the prompt: neither the recommended quality tags nor the negative",
)
@app_commands.choices(
    sampler=untranslated(SAMPLERS),
    scheduler=untranslated(SCHEDULERS),
)
async def imagine(
    interaction: discord.Interaction[AnimaClient],
    prompt: Text,
    negative: Text | None = None,
    aspect: app_commands.Range[str, 1, MAX_CHOICE_LENGTH] | None = None,
    width: app_commands.Range[int, MIN_SIDE, MAX_SIDE] | None = None,
    height: app_commands.Range[int, MIN_SIDE, MAX_SIDE] | None = None,
    count: app_commands.Range[int, 1, MAX_IMAGES] | None = None,
    steps: app_commands.Range[int, 1, MAX_STEPS] | None = None,
    cfg: app_commands.Range[float, MIN_CFG_SCALE, MAX_CFG_SCALE] | None = None,
    sampler: str | None = None,
    scheduler: str | None = None,
    seed: app_commands.Range[str, 1, 20] | None = None,
    lora: str | None = None,
    lora_strength: app_commands.Range[float, -MAX_LORA_STRENGTH, MAX_LORA_STRENGTH] | None = None,
    artist: app_commands.Range[str, 1, MAX_ARTISTS_LENGTH] | None = None,
    turbo: bool | None = None,
    image: discord.Attachment | None = None,
    denoise: app_commands.Range[float, MIN_DENOISE, 1.0] | None = None,
    spoiler: bool | None = None,
    private: bool | None = None,
    preset: str | None = None,
    raw: bool | None = None,
) -> None:
    intake = interaction.client.intake
    answers_privately = await intake.answers_privately(interaction, Options(private=private), preset)
    acknowledgement = await interaction.response.defer(thinking=True, ephemeral=answers_privately)
    try:
        native = (await interaction.client.model()).native
        said = Options(
            negative=negative,
            artist=artist,
            size=_size(aspect, width, height, native.sizes),
            count=count,
            steps=steps,
            cfg_scale=cfg,
            sampler=sampler,
            scheduler=scheduler,
            seed=seed_of(seed),
            loras=None if lora is None else ((lora, 1.0 if lora_strength is None else lora_strength),),
            turbo=turbo,
            denoise=denoise,
            raw=raw,
            spoiler=spoiler,
        ).merged_over(await _preset(interaction, preset))
    except InvalidOption as error:
        await reply_privately(interaction, str(error))
        return
    said = Options(private=answers_privately).merged_over(said)
    await intake.imagine(interaction, acknowledgement, prompt, said, image)


def _size(aspect: str | None, width: int | None, height: int | None, native: tuple[Size, ...]) -> Size | None:
    if aspect is None and width is None and height is None:
        return None
    usual = native[0] if aspect is None else size_of(aspect, native)
    return to_multiple(width or usual[0]), to_multiple(height or usual[1])


def seed_of(text: str | None) -> int | None:
    """Raises InvalidOption."""
    if text is None:
        return None
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and int(digits) <= MAX_SEED):
        raise InvalidOption(say(WRONG_SEED, most=MAX_SEED))
    return int(digits)


async def _preset(interaction: AnimaInteraction, name: str | None) -> Options:
    if name is None:
        return Options()
    kept = await interaction.client.intake.preset(interaction.user.id, name)
    if kept is None:
        raise InvalidOption(say(NO_PRESET, name=inline(name, 100)))
    return kept


# --- Completion ---


@imagine.autocomplete("prompt")
@imagine.autocomplete("negative")
async def complete_prompt(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    found = await asyncio.to_thread(interaction.client.tags.complete, typed, MAX_CHOICES)
    return [Choice(name=each.prompt, value=each.prompt) for each in found]


@imagine.autocomplete("artist")
async def complete_artist(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    found = await asyncio.to_thread(interaction.client.tags.complete_artists, typed, MAX_CHOICES)
    return [Choice(name=each.prompt, value=each.prompt) for each in found]


@imagine.autocomplete("aspect")
async def complete_aspect(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    sizes = (await interaction.client.model()).native.sizes
    words = typed.casefold().split()
    choices = [Choice(name=described((width, height)), value=f"{width}x{height}") for width, height in sizes]
    return [choice for choice in choices if all(word in choice.name.casefold() for word in words)][:MAX_CHOICES]


@imagine.autocomplete("lora")
async def complete_lora(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    words = typed.casefold().split()
    names = [name for name in (await interaction.client.model()).loras if len(name) <= MAX_CHOICE_LENGTH]
    matching = [name for name in names if all(word in name.casefold() for word in words)]
    return [Choice(name=name, value=name) for name in matching[:MAX_CHOICES]]


@imagine.autocomplete("preset")
async def complete_preset(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    names = await interaction.client.database.preferences.presets(interaction.user.id)
    return [Choice(name=name, value=name) for name in names if typed.casefold() in name.casefold()][:MAX_CHOICES]
