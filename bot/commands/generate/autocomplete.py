"""Suggestions while users type an option of a command."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias

import discord
from discord import app_commands

from bot.generation.compose import ModelInfo
from bot.generation.errors import InvalidOption
from bot.generation.options import Options
from bot.generation.sizes import describe_size
from bot.generation.typed.loras import TRIGGERS_SEPARATOR, LoraNames, parse_lora
from bot.generation.typed.models import ABOUT_SEPARATOR, parse_model
from bot.jobs.engines import ModelUnavailable
from bot.jobs.model.choice import ModelChoice
from bot.jobs.model.model_info import COMPLETION_SECONDS
from bot.messages.details import describe_model
from bot.messages.limits import MAX_CHOICE_LENGTH, MAX_CHOICES
from bot.rules.server_settings import ServerSettings
from bot.text.markdown import truncate
from bot.text.numbers import half_width
from inference.request import SAMPLERS, SCHEDULERS
from inference.weights.headers.loras import LoraFacts
from storage.backend.errors import StorageUnavailable

if TYPE_CHECKING:
    from bot.client import AnimaClient

logger = logging.getLogger(__name__)

Choice = app_commands.Choice[str]
Complete: TypeAlias = "Callable[[discord.Interaction[AnimaClient], str], Coroutine[Any, Any, list[Choice]]]"

#: Seconds. Discord gives up after three.
COMPLETION_TIMEOUT = 2.0

#: What each person's newest request waits for, by their id.
_newest: dict[int, asyncio.Task[list[Choice]]] = {}


def at_once(complete: Complete) -> Complete:
    """Answers within COMPLETION_TIMEOUT, with no choices if need be, and drops a person's superseded request."""

    @wraps(complete)
    async def answer(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
        work = asyncio.create_task(complete(interaction, typed), name="completion")
        if (superseded := _newest.get(interaction.user.id)) is not None:
            superseded.cancel()
        _newest[interaction.user.id] = work
        try:
            await asyncio.wait([work], timeout=COMPLETION_TIMEOUT)
            return work.result() if work.done() and not work.cancelled() else []
        except (StorageUnavailable, ModelUnavailable) as error:
            logger.info("an option could not be completed: %s", error)
            return []
        finally:
            work.cancel()
            if _newest.get(interaction.user.id) is work:
                del _newest[interaction.user.id]

    return answer


@at_once
async def complete_prompt(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    found = interaction.client.tags.complete(typed, MAX_CHOICES)  # faster than starting a thread
    return as_choices([each.prompt for each in found])


@at_once
async def complete_tags(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    """Tags that the prompt does not have yet, however long that is."""
    prompt = str(getattr(interaction.namespace, "prompt", None) or "")
    found = await asyncio.to_thread(interaction.client.tags.complete, typed, MAX_CHOICES, besides=prompt)
    return as_choices([each.prompt for each in found])


@at_once
async def complete_artist(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    found = interaction.client.tags.complete_artists(typed, MAX_CHOICES)
    return as_choices([each.prompt for each in found])


@at_once
async def complete_aspect(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    choice = await choice_soon(interaction)
    sizes = () if choice is None else model_so_far(interaction, choice).native.sizes
    choices = [Choice(name=describe_size((width, height)), value=f"{width}x{height}") for width, height in sizes]
    return [choice for choice in choices if _has_words(choice.name, typed)][:MAX_CHOICES]


@at_once
async def complete_lora(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    names = await interaction.client.model_info.loras()
    if _has_strength(typed, names):
        return as_choices([typed.strip()])
    found = [name for name in names if _has_words(name, typed) and len(name) <= MAX_CHOICE_LENGTH][:MAX_CHOICES]
    facts = await interaction.client.model_info.lora_facts(found)
    return [Choice(name=_with_triggers(name, facts.get(name, LoraFacts()).triggers), value=name) for name in found]


@at_once
async def complete_model(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    """The models that may be used there; if there is only one, it is offered whatever is typed."""
    choice = await choice_soon(interaction)
    if choice is None:
        return []
    loaded, default = interaction.client.model_info.loaded_models, choice.model().name
    found = [name for name in choice.offered if not choice.has_alternatives or _has_words(name, typed)]
    described = {name: describe_model(choice.models.of(name), name == default, name in loaded) for name in found}
    fitting = [(name, about) for name, about in described.items() if len(name) <= MAX_CHOICE_LENGTH]
    return [Choice(name=_with_about(name, about), value=name) for name, about in fitting[:MAX_CHOICES]]


async def choice_soon(interaction: discord.Interaction[AnimaClient]) -> ModelChoice | None:
    """The choice of models, or None if no model is known soon enough for autocomplete.

    Without settings, if they cannot be read soon enough: then all models are offered.
    """
    models = await interaction.client.model_info.soon()
    if models is None:
        return None
    if len(models.models) > 1:
        with suppress(TimeoutError, StorageUnavailable):
            async with asyncio.timeout(COMPLETION_SECONDS):
                return await interaction.client.submitter.model_choice(interaction, models)
    return ModelChoice.of(models, ServerSettings(), Options())


def model_so_far(interaction: discord.Interaction[AnimaClient], choice: ModelChoice) -> ModelInfo:
    """The model selected by the options filled in so far."""
    typed = getattr(interaction.namespace, "model", None)
    with suppress(InvalidOption):
        return choice.model(Options(model=parse_model(typed, choice.models.models) if typed else None))
    return choice.model()


@at_once
async def complete_sampler(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return as_choices([name for name in SAMPLERS if _has_words(name, typed.replace("_", " "))])


@at_once
async def complete_scheduler(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    return as_choices([name for name in SCHEDULERS if _has_words(name, typed.replace("_", " "))])


@at_once
async def complete_preset(interaction: discord.Interaction[AnimaClient], typed: str) -> list[Choice]:
    names = await interaction.client.database.preferences.presets(interaction.user.id)
    return as_choices([name for name in names if typed.casefold() in name.casefold()])


#: What completes the options that several commands have.
COMPLETIONS: Mapping[str, Complete] = {
    "prompt": complete_prompt,
    "negative": complete_prompt,
    "tags": complete_tags,
    "aspect": complete_aspect,
    "model": complete_model,
    "lora": complete_lora,
    "lora2": complete_lora,
    "lora3": complete_lora,
    "artist": complete_artist,
    "sampler": complete_sampler,
    "scheduler": complete_scheduler,
}


def _with_about(name: str, about: str) -> str:
    return truncate(f"{name}{ABOUT_SEPARATOR}{about}", MAX_CHOICE_LENGTH)


def _with_triggers(name: str, triggers: str) -> str:
    return truncate(f"{name}{TRIGGERS_SEPARATOR}{triggers}", MAX_CHOICE_LENGTH) if triggers else name


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
