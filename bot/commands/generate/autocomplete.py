"""What Discord offers while somebody types an option of a command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.generation.errors import InvalidOption
from bot.generation.sizes import describe_size
from bot.generation.typed.loras import TRIGGERS_FOLLOW, LoraNames, parse_lora
from bot.messages.limits import MAX_CHOICE_LENGTH, MAX_CHOICES
from bot.text.markdown import truncate
from bot.text.numbers import half_width
from inference.request import SAMPLERS, SCHEDULERS
from inference.weights.headers.loras import LoraFacts

if TYPE_CHECKING:
    from bot.client import AnimaClient

Choice = app_commands.Choice[str]


async def complete_prompt(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    found = await asyncio.to_thread(interaction.client.tags.complete, typed, MAX_CHOICES)
    return as_choices([each.prompt for each in found])


async def complete_tags(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    """Tags that the prompt does not have yet, however long that is."""
    prompt = str(getattr(interaction.namespace, "prompt", None) or "")
    found = await asyncio.to_thread(interaction.client.tags.complete, typed, MAX_CHOICES, besides=prompt)
    return as_choices([each.prompt for each in found])


async def complete_artist(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    found = await asyncio.to_thread(interaction.client.tags.complete_artists, typed, MAX_CHOICES)
    return as_choices([each.prompt for each in found])


async def complete_aspect(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    model = await interaction.client.model_info.soon()
    sizes = () if model is None else model.native.sizes
    choices = [Choice(name=describe_size((width, height)), value=f"{width}x{height}") for width, height in sizes]
    return [choice for choice in choices if _has_words(choice.name, typed)][:MAX_CHOICES]


async def complete_lora(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    names = await interaction.client.model_info.loras()
    if _has_strength(typed, names):
        return as_choices([typed.strip()])
    found = [name for name in names if _has_words(name, typed) and len(name) <= MAX_CHOICE_LENGTH][:MAX_CHOICES]
    facts = await interaction.client.model_info.lora_facts(found)
    return [Choice(name=_with_triggers(name, facts.get(name, LoraFacts()).triggers), value=name) for name in found]


async def complete_sampler(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return as_choices([name for name in SAMPLERS if _has_words(name, typed.replace("_", " "))])


async def complete_scheduler(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return as_choices([name for name in SCHEDULERS if _has_words(name, typed.replace("_", " "))])


async def complete_preset(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    names = await interaction.client.database.preferences.presets(interaction.user.id)
    return as_choices([name for name in names if typed.casefold() in name.casefold()])


def _with_triggers(name: str, triggers: str) -> str:
    return truncate(f"{name}{TRIGGERS_FOLLOW}{triggers}", MAX_CHOICE_LENGTH) if triggers else name


def _has_strength(typed: str, names: Sequence[str]) -> bool:
    """Whether the text is a LoRA with a strength, which offering only names would lose."""
    try:
        name, _ = parse_lora(typed, LoraNames(names))
    except InvalidOption:
        return False
    return typed.strip() != name and ":" in half_width(typed)


def as_choices(texts: Sequence[str]) -> list[Choice]:
    """As many of the texts as Discord takes; one that is too long for it is left out."""
    fitting = [text for text in texts if 0 < len(text) <= MAX_CHOICE_LENGTH]
    return [Choice(name=text, value=text) for text in fitting[:MAX_CHOICES]]


def _has_words(text: str, typed: str) -> bool:
    return all(word in text.casefold() for word in typed.casefold().split())
